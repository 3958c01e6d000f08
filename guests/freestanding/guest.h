/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GUEST_H
#define GUEST_H

/*
 * The files call each other in one direction, each only files behind it in this list:
 *
 *   boot.S main.c create.c entry.S dispatch.c command.c verify.c ve.c urgent.c sched.c
 *   setup.c pci.c apic.c trampoline.S mem.c cmdline.c cpu.c serial.c tasks.c check.c
 *   low.S
 */

#include "abi/pv-ve.h"
#include "report.h"
#include "x86.h"

#define MAX_CPUS            REPORT_MAX_CPUS
#define MAX_TASKS           48              /* of one vCPU */

#define VECTOR_TICK         0x30
#define VECTOR_NOTIFY       0x31
#define VECTOR_CALL         0x32
#define VECTOR_SPURIOUS     0x3f
#define NR_VECTORS          0x40

#define SEL_KCODE           0x08
#define SEL_KDATA           0x10
#define SEL_UDATA           0x1b
#define SEL_UCODE           0x23
#define SEL_TSS             0x28

#define IMAGE_GPA           0x100000ul      /* see guest.ld */

#define report              ((struct report *)REPORT_GPA)

/*
 * Memory is mapped one to one.  The test region is not, but this much further up, and
 * there is the code of the tasks that touch it, once more: so they, and nobody else, need
 * paging structures of their own, at all levels but the first.
 */
#define FAR                 (1ul << 39)

/* The guest's own page faults put it back. */
#define CR2_KEPT            0x5ca1ab1e000ul

/* What an entry into the kernel leaves on its stack: see entry.S */
struct frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t iomap;
} __attribute__((packed));

/*
 * A task and its kernel stack are one block, so that a task costs few pages, and
 * the stack pointer tells whose stack it is.
 */
#define TASK_SIZE           2048
#define TASK_CANARY         0x7461736b656e6421ul

struct task {
    struct cpu *cpu;
    struct user *user;
    uint64_t rsp;
    uint32_t index;         /* in its vCPU; the idle task has MAX_TASKS */
    uint32_t id;            /* in the guest */
    uint64_t canary;
    uint8_t stack[TASK_SIZE - 40];
} __attribute__((aligned(TASK_SIZE)));

/* A task's memory at CPL 3: what it works on, and its user stack above. */
#define USER_SIZE           1024

struct user {
    uint64_t busy;          /* inside the test region */
    uint64_t at;            /* the page of it that is being touched, as a GPA */
    uint64_t kind;          /* how its first byte is: PV_VE_Q_READ, _WRITE or 0 */
    uint64_t id;
    uint64_t owners;        /* tasks that touch; a page belongs to page % owners */
    uint64_t pages;
    uint64_t random;
    uint64_t *counter;
    uint64_t *buffer;       /* of the verifier, a page */
    uint64_t burst;         /* touches before it yields, 0: any number */
    uint64_t unmap;         /* the owner unmaps each page that it has rewritten */
    uint64_t walked;        /* its address, once #VE came for a paging structure */
    uint8_t stack[USER_SIZE - 96];
} __attribute__((aligned(USER_SIZE)));

/* All masks have bit i for task i of this vCPU; changed with interrupts off. */
struct cpu {
    struct tss tss;
    uint32_t number;
    struct task *current;
    struct task *idle;
    struct task *tasks;
    struct user *users;
    struct report_cpu *count;
    uint64_t ready;
    uint64_t parked;
    uint64_t failed;        /* woken because the page failed */
    uint64_t alive;
    uint32_t last;          /* task that ran last, for the round */
    uint32_t ve_epoch;      /* counts how often pv-ve was disabled */
    bool ve_enabled;
    bool ve_open;           /* from the #VE until the busy word is clear */
    bool busy_kept;         /* by command */
    bool announced;         /* a migration, as far as this vCPU has answered */
    uint64_t slots_open[2]; /* delivered, not acknowledged */
    uint32_t stall_epoch;
    uint64_t last_tick;
    volatile struct pv_ve_info *info;
    struct pv_ve_page *page;
    struct pv_ve_urgent_list *lists;
} __attribute__((aligned(512)));

/* A task's calls of the kernel */
enum call {
    CALL_YIELD,
    CALL_CONTENT,           /* (gpa, word): its content is wrong */
    CALL_VERIFY,            /* returns when all pages are to be verified */
    CALL_VERIFIED,          /* (bad, failed): number of pages */
    CALL_KILLED,            /* (owner): 1 if that touching task was killed */
    CALL_UNMAP,             /* (page): the next access to it is a page fault */
};

enum policy { POLICY_PARK, POLICY_WAIT, POLICY_RETRY };

struct config {
    uint64_t mem;           /* MiB of test region */
    uint64_t compute;
    uint64_t touch;
    uint64_t ktouch;
    uint64_t burst;         /* touches before a task yields, 0: any number */
    uint64_t parks;         /* tasks of one vCPU that may be parked at a time */
    uint64_t policy;
    uint64_t ve;
    uint64_t msix;
    uint64_t cpl0;
    uint64_t if0;
    uint64_t urgent;        /* lists, when a migration is announced */
    uint64_t map_2m;
    uint64_t unmap;
    uint64_t x2apic;
    uint64_t hz;
};

_Static_assert(sizeof(struct task) == TASK_SIZE, "task: one block");
_Static_assert(sizeof(struct user) == USER_SIZE, "user: one block");
_Static_assert(sizeof(struct cpu) <= 512, "cpu: never over two pages");

extern struct config config;
extern struct cpu cpus[MAX_CPUS];
extern struct task idle_tasks[MAX_CPUS];
extern uint32_t ncpus;

static inline struct task *stack_owner(void)
{
    uint64_t rsp;

    asm("movq %%rsp, %0" : "=r"(rsp));
    return (struct task *)(rsp & ~(uint64_t)(TASK_SIZE - 1));
}

static inline struct cpu *this_cpu(void)
{
    return stack_owner()->cpu;
}

/* serial.c */
void serial_init(void);
int serial_poll(void);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_force(void);

/* cmdline.c */
void parse_cmdline(const char *line);

/* cpu.c */
void cpu_tables_init(const uint64_t entry[NR_VECTORS]);
void cpu_load_tables(struct cpu *cpu);
__attribute__((noreturn)) void stop(enum exit_value value);
__attribute__((noreturn)) void panic(const char *what, struct frame *f);

/* apic.c */
void apic_calibrate(void);
void apic_init_cpu(void);
void apic_start_tick(void);
void apic_eoi(void);
void apic_start_others(void (*start)(uint32_t number));
uint32_t apic_id(void);

/* mem.c */
void *pool_kernel(uint64_t size);
void *pool_user(uint64_t size);
void build_page_tables(void);
typedef uint64_t page_table[512] __attribute__((aligned(4096)));
extern page_table vmsave_area;
bool is_entry_of(uint64_t gla, uint64_t gpa);
void unmap_page(uint64_t page, struct frame *f);
void page_fault(struct frame *f);
extern uint64_t page_table_root;

/* sched.c */
void schedule(void);
void idle_loop(void) __attribute__((noreturn));
void make_ready(struct cpu *cpu, uint32_t index);
__attribute__((noreturn)) void exit_task(uint64_t gpa);

/* setup.c */
void ve_find(void);
void ve_enable(struct cpu *cpu);
void ve_disable(struct cpu *cpu);
extern bool ve_wanted;

/* ve.c */
void ve_exception(struct frame *f);
void ve_notification(void);

/* urgent.c */
void urgent_answer(struct cpu *cpu, bool announced);

/* pci.c */
bool msix_find(void);
void msix_program(uint32_t entry, uint32_t apic, uint8_t vector);

/* tasks.c and check.c, mapped for CPL 3 */
void task_compute(struct user *u);
void task_touch(struct user *u);
void task_verify(struct user *u);

/* verify.c */
void verify_request(void);
void verify_begin(void);
void verify_end(uint64_t bad, uint64_t away);
bool owner_killed(uint32_t owner);
void content_error(struct cpu *cpu, uint64_t gpa, uint64_t word);
extern struct task *verifier;

/* command.c */
void poll_commands(void);
void follow_commands(struct cpu *cpu);

/* create.c */
void create_tasks(void);

/* low.S */
void switch_stack(uint64_t *save, uint64_t load);
void wrmsr_irqs_on(uint32_t msr, uint64_t value);
uint64_t copy_page(void *to, const void *from);
uint64_t try_wrmsr(uint32_t msr, uint64_t value);
extern const char copy_page_at[], copy_page_failed[];
extern const char try_wrmsr_at[], try_wrmsr_failed[];

/* entry.S */
void return_from_entry(void);
extern const uint64_t entry_stubs[NR_VECTORS];

#endif
