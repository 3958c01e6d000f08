// Our MSRs leave KVM_RUN.  When the machine starts, nobody knows whether it will have
// the device; what registers an MSR is static, so keep hold of it.
//
// expect 1: #include "pv-ve/include/hooks.h"
// expect 1: pv_ve_kvm_keep_msr_filter(
//
// A vCPU that is plugged again must get the same CPUID as before: KVM takes no other
// once it has run.
//
// expect 1: pv_ve_kvm_cpuid(

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

@@
expression C, R;
identifier D;
@@
+pv_ve_kvm_cpuid(C, &D.cpuid, ARRAY_SIZE(D.entries));
 R = kvm_vcpu_ioctl(C, KVM_SET_CPUID2, &D);
