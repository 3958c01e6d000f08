// Postcopy's fault thread has read that a thread of the host is blocked on a page, and
// has asked the source for it, or has found that it cannot.
//
// expect 1: #include "pv-ve/include/hooks-common.h"
// expect 1: pv_ve_blocked(
//
// A thread that only tries again is no reason to ask once more.
//
// expect 1: pv_ve_is_asked_for(
//
// It is about to wait until migration is recovered.
//
// expect 1: pv_ve_await_recovery(

@@
@@
#include "qemu/osdep.h"
+#include "pv-ve/include/hooks-common.h"

@@
identifier opaque, msg, rb, rb_offset;
@@
 static void *postcopy_ram_fault_thread(void *opaque)
 {
     <...
     rb_offset = ROUND_DOWN(rb_offset, qemu_ram_pagesize(rb));
     trace_postcopy_ram_fault_thread_request(msg.arg.pagefault.address, ...);
     mark_postcopy_blocktime_begin(...);
 retry:
     ret = postcopy_request_page(...);
+    pv_ve_blocked(rb, rb_offset, msg.arg.pagefault.feat.ptid);
     if (ret) { ... }
     ...>
 }

@@
identifier rb, start;
@@
 static int postcopy_request_page(..., RAMBlock *rb, ram_addr_t start, ...)
 {
     ...
+    if (pv_ve_is_asked_for(rb, start)) {
+        return 0;
+    }
     return migrate_send_rp_req_pages(...);
 }

@@
typedef MigrationIncomingState;
identifier mis;
@@
 static void postcopy_pause_fault_thread(MigrationIncomingState *mis)
 {
     ...
+    pv_ve_await_recovery();
     qemu_sem_wait(&mis->postcopy_pause_sem_fault);
     ...
 }
