#include "trace/trace-pv_ve_accel_tcg.h"
