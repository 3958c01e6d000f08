// A vCPU that touches a missing page sleeps inside KVM_RUN, and is kicked out of it
// to be asked whether the guest can take #VE; then it goes in again.
//
// expect 1: #include "pv-ve/include/hooks-common.h"
// expect 1: pv_ve_kvm_enter(
// expect 1: pv_ve_kvm_go_on(

@@
@@
#include "qemu/osdep.h"
+#include "pv-ve/include/hooks-common.h"

@@
typedef CPUState;
identifier cpu, run_ret;
@@
 int kvm_cpu_exec(CPUState *cpu)
 {
     <...
+    pv_ve_kvm_enter(cpu);
     run_ret = kvm_vcpu_ioctl(cpu, KVM_RUN, 0);
+    run_ret = pv_ve_kvm_go_on(cpu, run_ret);
     ...>
 }
