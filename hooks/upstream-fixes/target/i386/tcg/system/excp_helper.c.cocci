// Fix of a bug in QEMU 10.0, for the bench: a paging structure that is only read is not logged
// as written.  Where the walk sets an accessed or dirty flag it is.
//
// expect 1: #include "pv-ve/include/upstream-fixes.h"
// expect 1: pv_ve_tcg_walk_writes(

@@
@@
#include "qemu/osdep.h"
+#include "pv-ve/include/upstream-fixes.h"

@@
typedef PTETranslate, uint32_t, bool;
identifier in, old, set;
@@
 static inline bool ptw_setl(const PTETranslate *in, uint32_t old, uint32_t set)
 {
     if (set & ~old) {
         ...
+        pv_ve_tcg_walk_writes(in->env, in->gaddr, in->ptw_idx, &in->haddr);
         if (likely(in->haddr)) { ... }
         ...
     }
     ...
 }
