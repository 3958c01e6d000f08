#include "trace/trace-pv_ve_accel_kvm.h"
