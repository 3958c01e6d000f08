// Postcopy has sent a page and nobody has asked for another: where does the search for the
// next one begin?  No lock but migration's own; in the migration thread.
//
// expect 1: #include "pv-ve/include/hooks-common.h"
// expect 1: pv_ve_hot_page(

@@
@@
#include "qemu/osdep.h"
+#include "pv-ve/include/hooks-common.h"

@@
typedef RAMState, PageSearchStatus;
identifier rs, pss;
@@
 static int find_dirty_block(RAMState *rs, PageSearchStatus *pss)
 {
+    pv_ve_hot_page(&pss->block, &pss->page);
     pss_find_next_dirty(pss);
     ...
 }
