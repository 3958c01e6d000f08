// Our MSRs leave KVM_RUN.  When the machine starts, nobody knows whether it will have
// the device; what registers an MSR is static, so keep hold of it.
//
// expect 1: #include "pv-ve/include/hooks.h"
// expect 1: pv_ve_kvm_keep_msr_filter(

@@
@@
#include "qemu/osdep.h"
+#include "pv-ve/include/hooks.h"

@@
typedef KVMState;
identifier s;
expression E;
@@
 static int kvm_vm_enable_userspace_msr(KVMState *s)
 {
     ...
+    pv_ve_kvm_keep_msr_filter(kvm_filter_msr);
     return E;
 }
