// RDMSR and WRMSR under TCG: after the nested hypervisor's intercept, our MSRs.
//
// expect 1: #include "pv-ve/include/hooks.h"
// expect 1: if (pv_ve_tcg_wrmsr(
// expect 1: if (pv_ve_tcg_rdmsr(

@@
@@
#include "qemu/osdep.h"
+#include "pv-ve/include/hooks.h"

@@
typedef CPUX86State;
identifier env, val;
expression E;
@@
 void helper_wrmsr(CPUX86State *env)
 {
     ...
     cpu_svm_check_intercept_param(...);
     val = E;
+    if (pv_ve_tcg_wrmsr(env, val, GETPC())) {
+        return;
+    }
     ... when any
 }

@@
typedef CPUX86State;
identifier env;
@@
 void helper_rdmsr(CPUX86State *env)
 {
     ...
     cpu_svm_check_intercept_param(...);
+    if (pv_ve_tcg_rdmsr(env, GETPC())) {
+        return;
+    }
     ... when any
 }
