// SPDX-License-Identifier: GPL-2.0-or-later
/* pv_ve: finds the host's interface, and begins and ends in order. */
#include "driver.h"

#include <linux/cc_platform.h>
#include <linux/module.h>
#include <asm/cpufeature.h>
#include <asm/cpuid.h>

struct pv_ve_host pv_ve_host;

static bool user_only;
module_param(user_only, bool, 0444);
MODULE_PARM_DESC(user_only, "take no #VE in kernel mode");

static bool urgent = true;
module_param(urgent, bool, 0444);
MODULE_PARM_DESC(urgent, "name pages that must come first when a migration is announced");

static u32 find_block(void)
{
	u32 base, eax, ebx, ecx, edx;

	for (base = PV_VE_CPUID_FIRST; base <= PV_VE_CPUID_LAST; base += PV_VE_CPUID_STEP) {
		cpuid(base + PV_VE_CPUID_ID, &eax, &ebx, &ecx, &edx);
		if (ebx == PV_VE_CPUID_SIG_EBX && ecx == PV_VE_CPUID_SIG_ECX &&
		    edx == PV_VE_CPUID_SIG_EDX && eax >= base + PV_VE_CPUID_INFO)
			return base;
	}
	return 0;
}

static int find_host(void)
{
	u32 wanted = PV_VE_F_BASE | PV_VE_F_WAIT | PV_VE_F_MSIX;
	u32 version, offered, slots, base = 0;

	if (boot_cpu_has(X86_FEATURE_HYPERVISOR))
		base = find_block();
	if (!base) {
		pr_info("the host has no pv-ve; nothing to do\n");
		return -ENODEV;
	}
	cpuid(base + PV_VE_CPUID_INFO, &version, &offered, &slots, &pv_ve_host.first_msr);
	if (version != PV_VE_ABI_VERSION || slots != PV_VE_SLOTS) {
		pr_err("the host's interface has version %u, %u slots; this is for %u, %u\n",
		       version, slots, PV_VE_ABI_VERSION, PV_VE_SLOTS);
		return -ENODEV;
	}
	if (!(offered & PV_VE_F_BASE) || !(offered & PV_VE_F_MSIX)) {
		pr_err("the host offers no notification by MSI-X, which is needed\n");
		return -ENODEV;
	}
	if (!user_only && !IS_ENABLED(CONFIG_PREEMPTION)) {
		pr_info("this kernel cannot be preempted: user mode only\n");
		user_only = true;
	}
	if (!user_only)
		wanted |= PV_VE_F_CPL0;
	if (urgent)
		wanted |= PV_VE_F_URGENT;
	pv_ve_host.features = offered & wanted;
	return 0;
}

/* Delivery is off everywhere. */
static void give_back(void)
{
	pv_ve_urgent_end();
	pv_ve_crash_unhook();
	pv_ve_detach();
	pv_ve_free();
}

static int __init pv_ve_init(void)
{
	int ret;

	if (boot_cpu_has(X86_FEATURE_TDX_GUEST) ||
	    cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT)) {
		pr_err("a confidential guest has another #VE or #VC: not supported\n");
		return -ENODEV;
	}
	ret = find_host();
	if (ret)
		return ret;
	if (!pv_ve_find_search()) {
		pr_err("this kernel does not tell where its exception tables are\n");
		return -ENODEV;
	}
	pv_ve_find_file_copy();
	pv_ve_kvm_find();
	pv_ve_cpus_init();
	ret = pv_ve_attach();
	if (ret)
		return ret;
	pv_ve_crash_hook();
	pv_ve_urgent_begin();
	ret = pv_ve_pci_register();
	if (ret) {
		pr_err("no PCI function %04x:%04x that works (%d)\n", PV_VE_PCI_VENDOR_ID,
		       PV_VE_PCI_DEVICE_ID, ret);
		give_back();
		return -ENODEV;
	}
	pv_ve_stats_create();
	return 0;
}

static void __exit pv_ve_exit(void)
{
	pv_ve_stats_remove();
	pv_ve_pci_unregister();
	give_back();
}

module_init(pv_ve_init);
module_exit(pv_ve_exit);
MODULE_DESCRIPTION("Guest driver for pv-ve: tasks sleep while their pages are missing");
MODULE_LICENSE("GPL");
MODULE_VERSION(PV_VE_VERSION);
