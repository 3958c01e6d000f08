#include "trace/trace-pv_ve_outgoing.h"
