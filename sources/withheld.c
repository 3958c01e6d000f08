/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: ranges of guest RAM that a test or a guest developer withholds.
 *
 * A withheld page keeps its content and is out of the guest's reach until it is
 * released.  A page that failed is withheld too, and its faults are told so.
 *
 * Where the accelerator can hold vCPUs back (TCG) the page stays in memory.  Else (KVM) it
 * is absent, and its content is kept in the stash.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "qemu/module.h"
#include "qemu/queue.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "qom/object.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "pv-ve/include/core.h"
#include "pv-ve/sources/stash.h"

#define TYPE_PV_VE_WITHHELD "pv-ve-withheld"

/* The pages of one RAM block, one bit each.  Once made it stays, and pins the RAM. */
typedef struct Block {
    QLIST_ENTRY(Block) link;
    RAMBlock *ram;
    unsigned long *missing;     /* withheld or failed */
    unsigned long *suppressed;  /* withheld, no #VE */
    unsigned long *failed;
    unsigned long *awaited;     /* missing, and a worker of the accelerator waits for it */
    uint32_t *outside;          /* id of the vCPU's thread that touched it out there, 0: none */
    void **content;             /* of each missing page; NULL where vCPUs are held back */
    size_t nr_missing;
} Block;

static QemuMutex lock;          /* of all of this; a leaf */
static QLIST_HEAD(, Block) blocks = QLIST_HEAD_INITIALIZER(blocks);
static unsigned long nr_missing;    /* in all blocks; read without the lock, too */

static Block *find(RAMBlock *ram)
{
    Block *b;

    QLIST_FOREACH(b, &blocks, link) {
        if (b->ram == ram) {
            return b;
        }
    }
    return NULL;
}

/* Lock held. */
static PvVePageState state_of(RAMBlock *ram, ram_addr_t offset)
{
    size_t page = offset / qemu_ram_pagesize(ram);
    Block *b = find(ram);

    if (!b || !test_bit(page, b->missing)) {
        return PV_VE_PAGE_PRESENT;
    }
    return test_bit(page, b->failed) ? PV_VE_PAGE_FAILED :
           test_bit(page, b->suppressed) ? PV_VE_PAGE_SUPPRESSED : PV_VE_PAGE_MISSING;
}

static PvVePageState page_state(RAMBlock *ram, ram_addr_t offset)
{
    if (!qatomic_read(&nr_missing)) {
        return PV_VE_PAGE_PRESENT;      /* during a postcopy asked again and again */
    }
    QEMU_LOCK_GUARD(&lock);
    return state_of(ram, offset);
}

/* Whoever withholds knows. */
static bool request(RAMBlock *ram, ram_addr_t offset)
{
    return true;
}

/* ---- One page ---------------------------------------------------------- */

typedef enum Change { WITHHOLD, WITHHOLD_SUPPRESSED, FAIL, RELEASE } Change;

static void put_bit(size_t bit, unsigned long *bitmap, bool value)
{
    if (value) {
        set_bit(bit, bitmap);
    } else {
        clear_bit(bit, bitmap);
    }
}

static void count(Block *b, int change)
{
    b->nr_missing += change;
    qatomic_set(&nr_missing, nr_missing + change);
}

/* Lock held.  True: nothing is missing any more, so the caller must disarm. */
static bool mark(Block *b, size_t page, Change change)
{
    unsigned long before = nr_missing;

    /* In one step: who looks without the lock must not find nothing missing in between. */
    count(b, (change != RELEASE) - test_bit(page, b->missing));
    put_bit(page, b->missing, change != RELEASE);
    put_bit(page, b->suppressed, change == WITHHOLD_SUPPRESSED);
    put_bit(page, b->failed, change == FAIL);
    if (change == RELEASE) {
        clear_bit(page, b->awaited);
        b->outside[page] = 0;
    }
    /* Before anybody else can find nothing missing and disarm. */
    if (nr_missing && !before) {
        pv_ve_arm();
    }
    return !nr_missing && before;
}

/* Lock held: a page that is about to be released gets its content. */
static void place(Block *b, size_t page)
{
    pv_ve_stash_place(b->ram, page * qemu_ram_pagesize(b->ram), b->content[page]);
    g_free(b->content[page]);
    b->content[page] = NULL;
    if (b->nr_missing == 1) {
        pv_ve_stash_unwatch(b->ram);
    }
}

/*
 * The state changes first, then the core is told, without the lock: it asks for
 * the state while it holds its own.
 */
static void change_page(RAMBlock *ram, size_t page, Change change)
{
    ram_addr_t offset = page * qemu_ram_pagesize(ram);
    bool disarm;

    WITH_QEMU_LOCK_GUARD(&lock) {
        Block *b = find(ram);

        if (change == RELEASE && b->content && test_bit(page, b->missing)) {
            place(b, page);
        }
        disarm = mark(b, page, change);
    }
    if (change == RELEASE) {
        pv_ve_page_arrived(ram, offset);
    } else if (change == FAIL) {
        pv_ve_page_failed(ram, offset);
    }
    if (disarm) {
        pv_ve_disarm();
    }
}

/* Any thread: whoever cannot wait gets the page. */
static void supply(RAMBlock *ram, ram_addr_t offset)
{
    change_page(ram, offset / qemu_ram_pagesize(ram), RELEASE);
}

/* ---- Pages that are absent (KVM) ----------------------------------------- */

/* Lock held. */
static bool watch(Block *b, Error **errp)
{
    return b->nr_missing || pv_ve_stash_watch(b->ram, errp);
}

/* True if the page was missing already: then it only changes in which way. */
static bool change_missing(Block *b, size_t page, Change change)
{
    bool missing;

    QEMU_LOCK_GUARD(&lock);
    missing = test_bit(page, b->missing);
    if (missing) {
        mark(b, page, change);
    }
    return missing;
}

/*
 * Areas locked.  False: it may be marked, and has its content.  From the mark to the discard
 * our lock is held: who released the page in between would lose its content.
 */
static bool put_aside(Block *b, size_t page, Change change, Error **errp)
{
    ram_addr_t offset = page * qemu_ram_pagesize(b->ram);
    /* Without our lock, which the stash's thread takes: nobody may have written it ever. */
    void *content = pv_ve_stash_copy(b->ram, offset);

    QEMU_LOCK_GUARD(&lock);
    /* The last page of the block may have been released since it was watched. */
    if (!watch(b, errp)) {
        g_free(content);
        return false;
    }
    b->content[page] = content;
    mark(b, page, change);
    return pv_ve_stash_discard(b->ram, offset, errp);
}

/*
 * BQL held, machine stopped: nobody writes to the page but the core, as pages come to others.
 * What that wrote before is in the copy, and from then on it finds the page missing.
 */
static bool take_away(Block *b, size_t page, Change change, Error **errp)
{
    ram_addr_t offset = page * qemu_ram_pagesize(b->ram);
    bool ok;

    if (change_missing(b, page, change)) {
        return true;
    }
    /*
     * Before the copy: it fails during an incoming postcopy, where the copy would wait for
     * a page and hold the BQL.
     */
    WITH_QEMU_LOCK_GUARD(&lock) {
        if (!watch(b, errp)) {
            return false;
        }
    }
    pv_ve_lock_areas();
    ok = put_aside(b, page, change, errp);
    pv_ve_unlock_areas();
    if (!ok) {
        supply(b->ram, offset);
    }
    return ok;
}

/* A vCPU's thread waits for the page in the guest; so it did not wait outside. */
static void not_outside(RAMBlock *ram, ram_addr_t offset, uint32_t tid)
{
    uint32_t *noted;

    QEMU_LOCK_GUARD(&lock);
    noted = &find(ram)->outside[offset / qemu_ram_pagesize(ram)];
    if (*noted == tid) {
        *noted = 0;
    }
}

/*
 * A vCPU's thread waits for the page outside of the guest: not for the first time?  The first
 * message may be old, and the thread have left the guest since.
 */
static bool waits_outside(RAMBlock *ram, ram_addr_t offset, uint32_t tid)
{
    size_t page = offset / qemu_ram_pagesize(ram);
    bool again;
    Block *b;

    QEMU_LOCK_GUARD(&lock);
    b = find(ram);
    again = b->outside[page];
    if (test_bit(page, b->missing)) {
        b->outside[page] = tid;
    }
    return again;
}

/*
 * The reset of a vCPU waits in KVM for its workers (MSR_KVM_ASYNC_PF_EN is written), and
 * holds the BQL meanwhile, so these cannot wait for whoever withholds.  Some come only
 * when the vCPUs are stopped already.
 */
static void on_worker(RAMBlock *ram, ram_addr_t offset)
{
    size_t page = offset / qemu_ram_pagesize(ram);
    Block *b;

    WITH_QEMU_LOCK_GUARD(&lock) {
        b = find(ram);
        put_bit(page, b->awaited, test_bit(page, b->missing));
    }
    /*
     * After it was noted: a reset that does not find it has stopped all of them.  Pairs
     * with the lock of QEMU that vCPUs hold as they stop and on_reset() holds after them.
     */
    smp_mb();
    if (pv_ve_all_vcpus_stopped()) {
        supply(ram, offset);
    }
}

/* All vCPUs are stopped.  BQL held. */
static void on_reset(void *unused)
{
    Block *b;

    QLIST_FOREACH(b, &blocks, link) {
        size_t pages = DIV_ROUND_UP(b->ram->max_length, qemu_ram_pagesize(b->ram));

        for (size_t page = find_first_bit(b->awaited, pages); page < pages;
             page = find_next_bit(b->awaited, pages, page + 1)) {
            supply(b->ram, page * qemu_ram_pagesize(b->ram));
        }
    }
}

/* ---- Telling the core ----------------------------------------------------- */

/*
 * The core touches guest memory while it is told: the areas of vCPUs, which need not have
 * been written ever.  The stash's thread, which serves such a page, must not wait for one.
 * So it leaves the telling to another thread.
 */
typedef struct Touch {
    QSIMPLEQ_ENTRY(Touch) next;
    RAMBlock *ram;              /* one of ours, so it stays */
    ram_addr_t offset;
    uint32_t tid;
} Touch;

static struct {
    QemuMutex lock;             /* a leaf; of the queue */
    QemuCond news;
    QSIMPLEQ_HEAD(, Touch) queue;
    QemuThread thread;
} teller = { .queue = QSIMPLEQ_HEAD_INITIALIZER(teller.queue) };

/* Lock held. */
static bool is_queued(RAMBlock *ram, ram_addr_t offset, uint32_t tid)
{
    Touch *t;

    QSIMPLEQ_FOREACH(t, &teller.queue, next) {
        if (t->ram == ram && t->offset == offset && t->tid == tid) {
            return true;
        }
    }
    return false;
}

/* A thread that was interrupted and touches the page again is told of once. */
static void queue_touch(RAMBlock *ram, ram_addr_t offset, uint32_t tid)
{
    Touch *t;

    QEMU_LOCK_GUARD(&teller.lock);
    if (is_queued(ram, offset, tid)) {
        return;
    }
    t = g_new(Touch, 1);
    *t = (Touch) { .ram = ram, .offset = offset, .tid = tid };
    QSIMPLEQ_INSERT_TAIL(&teller.queue, t, next);
    qemu_cond_signal(&teller.news);
}

static Touch *take_touch(void)
{
    Touch *t;

    QEMU_LOCK_GUARD(&teller.lock);
    while (QSIMPLEQ_EMPTY(&teller.queue)) {
        qemu_cond_wait(&teller.news, &teller.lock);
    }
    t = QSIMPLEQ_FIRST(&teller.queue);
    QSIMPLEQ_REMOVE_HEAD(&teller.queue, next);
    return t;
}

/* In the stash's thread: thread @tid waits for an absent page. */
static void touched(RAMBlock *ram, ram_addr_t offset, uint32_t tid)
{
    WITH_QEMU_LOCK_GUARD(&lock) {
        if (state_of(ram, offset) == PV_VE_PAGE_PRESENT) {
            pv_ve_stash_place(ram, offset, NULL);       /* never written */
            return;
        }
    }
    queue_touch(ram, offset, tid);
}

static void tell_core(const Touch *t)
{
    switch (pv_ve_tell_blocked(t->ram, t->offset, t->tid)) {
    case PV_VE_BLOCKED_VCPU:
        not_outside(t->ram, t->offset, t->tid);
        break;
    case PV_VE_BLOCKED_WORKER:
        on_worker(t->ram, t->offset);
        break;
    case PV_VE_BLOCKED_OUTSIDE:
        if (waits_outside(t->ram, t->offset, t->tid)) {
            supply(t->ram, t->offset);
        } else {
            pv_ve_stash_wake(t->ram, t->offset);
        }
        break;
    case PV_VE_BLOCKED_OTHER:
        supply(t->ram, t->offset);
        break;
    }
}

static void *teller_thread(void *unused)
{
    rcu_register_thread();
    for (;;) {
        g_autofree Touch *t = take_touch();

        RCU_READ_LOCK_GUARD();
        tell_core(t);
    }
    return NULL;
}

static void start_teller(void)
{
    qemu_mutex_init(&teller.lock);
    qemu_cond_init(&teller.news);
    qemu_thread_create(&teller.thread, "pv-ve/teller", teller_thread, NULL,
                       QEMU_THREAD_DETACHED);
}

static bool need_stash(Error **errp)
{
    static bool started;

    if (!started && pv_ve_stash_start(touched, errp)) {
        qemu_register_reset(on_reset, NULL);
        start_teller();
        started = true;
    }
    return started;
}

/* ---- Ranges of guest-physical addresses, BQL held ----------------------- */

static Block *need_block(RAMBlock *ram)
{
    size_t pages = DIV_ROUND_UP(ram->max_length, qemu_ram_pagesize(ram));
    Block *b = find(ram);

    if (b) {
        return b;
    }
    b = g_new0(Block, 1);
    b->ram = ram;
    b->missing = bitmap_new(pages);
    b->suppressed = bitmap_new(pages);
    b->failed = bitmap_new(pages);
    b->awaited = bitmap_new(pages);
    b->outside = g_new0(uint32_t, pages);
    b->content = pv_ve_can_hold() ? NULL : g_new0(void *, pages);
    memory_region_ref(ram->mr);
    QEMU_LOCK_GUARD(&lock);
    QLIST_INSERT_HEAD(&blocks, b, link);
    return b;
}

/* The RAM at the start of the range, as far as it goes; a reference to it. */
static bool find_ram(uint64_t gpa, uint64_t size, MemoryRegionSection *section,
                     Error **errp)
{
    uint64_t page_size, found;

    *section = memory_region_find(get_system_memory(), gpa, size);
    if (!section->mr || !memory_region_is_ram(section->mr) ||
        section->offset_within_address_space != gpa) {
        memory_region_unref(section->mr);
        error_setg(errp, "there is no RAM at 0x%" PRIx64 "; give a range of guest RAM", gpa);
        return false;
    }
    page_size = qemu_ram_pagesize(section->mr->ram_block);
    found = int128_get64(section->size);
    if ((section->offset_within_region | found) % page_size) {
        memory_region_unref(section->mr);
        error_setg(errp, "start and size must be multiples of 0x%" PRIx64 ", the page size of "
                   "the RAM at 0x%" PRIx64, page_size, gpa);
        return false;
    }
    return true;
}

static bool check_range(uint64_t start, uint64_t size, Error **errp)
{
    if (!size || start + size < start) {
        error_setg(errp, "the size must not be 0, nor the range go past the end of the "
                   "address space");
        return false;
    }
    for (uint64_t done = 0; done < size;) {
        MemoryRegionSection section;

        if (!find_ram(start + done, size - done, &section, errp)) {
            return false;
        }
        done += int128_get64(section.size);
        memory_region_unref(section.mr);
    }
    return true;
}

static bool change_section(const MemoryRegionSection *section, Change change, Error **errp)
{
    RAMBlock *ram = section->mr->ram_block;
    size_t page_size = qemu_ram_pagesize(ram);
    size_t first = section->offset_within_region / page_size;
    size_t pages = int128_get64(section->size) / page_size;
    Block *b = need_block(ram);

    for (size_t i = 0; i < pages; i++) {
        if (change == RELEASE || !b->content) {
            change_page(ram, first + i, change);
        } else if (!take_away(b, first + i, change, errp)) {
            return false;
        } else if (change == FAIL) {
            pv_ve_page_failed(ram, (first + i) * page_size);
        }
    }
    return true;
}

static bool change_sections(uint64_t start, uint64_t size, Change change, Error **errp)
{
    bool ok = true;

    for (uint64_t done = 0; ok && done < size;) {
        MemoryRegionSection section;

        find_ram(start + done, size - done, &section, &error_abort);
        ok = change_section(&section, change, errp);
        done += int128_get64(section.size);
        memory_region_unref(section.mr);
    }
    return ok;
}

/* While the machine is stopped nobody writes to its RAM, not even block devices. */
static void withdraw_absent(uint64_t start, uint64_t size, Change change, Error **errp)
{
    RunState before = runstate_get();

    if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "pages cannot be withheld from KVM before the guest has come");
        return;
    }
    if (!need_stash(errp)) {
        return;
    }
    vm_stop(RUN_STATE_PAUSED);
    /* Again: the guest ran on until it was stopped, and may have moved its memory. */
    if (check_range(start, size, errp)) {
        change_sections(start, size, change, errp);
    }
    vm_resume(before);
}

/* Nothing changes unless all of the range is RAM. */
static void change_range(uint64_t start, uint64_t size, Change change, Error **errp)
{
    if (!check_range(start, size, errp)) {
        return;
    }
    if (change == RELEASE) {
        change_sections(start, size, change, errp);
    } else if (pv_ve_can_hold()) {
        change_sections(start, size, change, errp);
        pv_ve_pages_withdrawn();
    } else {
        withdraw_absent(start, size, change, errp);
    }
}

/* ---- The object --------------------------------------------------------- */

static bool visit_range(Visitor *v, const char *name, uint64_t *start, uint64_t *size,
                        bool *suppressed, Error **errp)
{
    bool given = false;
    bool ok;

    if (!visit_start_struct(v, name, NULL, 0, errp)) {
        return false;
    }
    ok = visit_type_uint64(v, "start", start, errp) &&
         visit_type_size(v, "size", size, errp);
    if (ok && suppressed && visit_optional(v, "suppressed", &given)) {
        ok = visit_type_bool(v, "suppressed", suppressed, errp);
    }
    ok = ok && visit_check_struct(v, errp);
    visit_end_struct(v, NULL);
    return ok;
}

static Object *used;            /* by which ranges were withheld; BQL */

/* Of all three properties; @opaque is the Change. */
static void set_range(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    Change change = GPOINTER_TO_INT(opaque);
    bool suppressed = false;
    uint64_t start, size;

    if (visit_range(v, name, &start, &size, change == WITHHOLD ? &suppressed : NULL, errp)) {
        used = obj;
        change_range(start, size, suppressed ? WITHHOLD_SUPPRESSED : change, errp);
    }
}

static void get_pages(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint64_t pages;

    WITH_QEMU_LOCK_GUARD(&lock) {
        pages = nr_missing;
    }
    visit_type_uint64(v, name, &pages, errp);
}

static void add_range_property(ObjectClass *oc, const char *name, Change change,
                               const char *description)
{
    object_class_property_add(oc, name, "PvVeRange", NULL, set_range, NULL,
                              GINT_TO_POINTER(change));
    object_class_property_set_description(oc, name, description);
}

static void withheld_class_init(ObjectClass *oc, void *data)
{
    add_range_property(oc, "withhold", WITHHOLD,
                       "Take a range of guest RAM out of the guest's reach: start, size in "
                       "bytes; suppressed: without #VE");
    add_range_property(oc, "release", RELEASE, "Let the guest have a range");
    add_range_property(oc, "fail", FAIL,
                       "Withhold a range and say that it will never come");
    object_class_property_add(oc, "pages", "uint64", get_pages, NULL, NULL, NULL);
    object_class_property_set_description(oc, "pages",
                                          "How many pages are withheld or failed");
}

/*
 * The device has gone, and with it whoever could release what is withheld.  Not one that
 * was made only to be asked for its properties.  BQL held.
 */
static void withheld_finalize(Object *obj)
{
    Block *b;

    if (obj != used) {
        return;
    }
    QLIST_FOREACH(b, &blocks, link) {
        size_t pages = DIV_ROUND_UP(b->ram->max_length, qemu_ram_pagesize(b->ram));

        for (size_t page = find_first_bit(b->missing, pages); page < pages;
             page = find_next_bit(b->missing, pages, page + 1)) {
            supply(b->ram, page * qemu_ram_pagesize(b->ram));
        }
    }
}

static const TypeInfo withheld_type = {
    .name = TYPE_PV_VE_WITHHELD,
    .parent = TYPE_OBJECT,
    .instance_finalize = withheld_finalize,
    .class_init = withheld_class_init,
};

static void register_types(void)
{
    type_register_static(&withheld_type);
}
type_init(register_types)

static const PvVeSource source = {
    .blocks = false,
    .state = page_state,
    .request = request,
    .supply = supply,
};

static void __attribute__((constructor)) register_source(void)
{
    qemu_mutex_init(&lock);
    pv_ve_register_source(&source);
}
