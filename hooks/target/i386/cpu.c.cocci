// CPUID of a vCPU that QEMU emulates: our leaves lie above the clamp of the
// hypervisor range, so ask before the range is looked at.
//
// expect 1: #include "pv-ve/include/hooks.h"
// expect 1: if (pv_ve_cpuid(

@@
@@
#include "qemu/osdep.h"
+#include "pv-ve/include/hooks.h"

@@
typedef CPUX86State, uint32_t;
identifier env, index, count, eax, ebx, ecx, edx;
statement S1, S2;
@@
 void cpu_x86_cpuid(CPUX86State *env, uint32_t index, uint32_t count,
                    uint32_t *eax, uint32_t *ebx,
                    uint32_t *ecx, uint32_t *edx)
 {
     ... when != S1
+    if (pv_ve_cpuid(env_cpu(env), index, eax, ebx, ecx, edx)) {
+        return;
+    }
     S2
     ... when any
 }
