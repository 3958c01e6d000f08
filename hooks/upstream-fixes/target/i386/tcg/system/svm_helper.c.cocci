// Fix of a bug in QEMU 10.0, for the nested bed: an interrupt that VMRUN injects must reach the guest once.
//
// expect 1: #include "pv-ve/include/upstream-fixes.h"
// expect 1: pv_ve_tcg_vmrun_injected(

@@
@@
#include "qemu/osdep.h"
+#include "pv-ve/include/upstream-fixes.h"

@@
typedef CPUX86State, CPUState;
identifier env;
CPUState *cs;
expression V, H;
@@
 void helper_vmrun(CPUX86State *env, ...)
 {
     <...
     cs->exception_index = V;
     ...
     do_interrupt_x86_hardirq(env, V, H);
+    pv_ve_tcg_vmrun_injected(cs);
     ...>
 }
