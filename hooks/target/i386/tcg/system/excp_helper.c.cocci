// Under TCG a page that is not there is seen when its translation is about to
// enter the TLB.  If it holds a paging structure, that happens inside of another
// translation, which has therefore told what it is for.
//
// expect 1: #include "pv-ve/include/hooks.h"
// expect 1: pv_ve_tcg_translate(
// expect 1: pv_ve_tcg_tlb_fill(

@@
@@
#include "qemu/osdep.h"
+#include "pv-ve/include/hooks.h"

@@
typedef CPUState, MMUAccessType, vaddr, uintptr_t, bool, TranslateResult, TranslateFault;
identifier cs, addr, size, access_type, mmu_idx, probe, retaddr, out, err;
@@
 bool x86_cpu_tlb_fill(CPUState *cs, vaddr addr, int size,
                       MMUAccessType access_type, int mmu_idx,
                       bool probe, uintptr_t retaddr)
 {
     ...
     TranslateResult out;
     TranslateFault err;
+    pv_ve_tcg_translate(addr, access_type, mmu_idx, probe, retaddr);
     <...
+    pv_ve_tcg_tlb_fill(cs, addr, out.paddr, access_type, mmu_idx, probe,
+                       retaddr);
     tlb_set_page_with_attrs(...);
     ...>
 }
