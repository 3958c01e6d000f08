#include "trace/trace-pv_ve_hw.h"
