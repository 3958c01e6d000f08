// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pv_ve: finds the host's interface and takes the #VE handler.
 *
 * A kernel made for TDX guests has a handler for vector 20.  It calls one
 * function to learn what happened and one to deal with it; outside of TDX both
 * have nothing to do, and livepatch puts ours in their place.  Delivery begins
 * when all tasks use the new functions and ends before the first one stops to.
 */
#include "driver.h"

#include <linux/cc_platform.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <asm/cpufeature.h>
#include <asm/cpuid.h>
#include <asm/tdx.h>

struct pv_ve_host pv_ve_host;

static bool user_only;
module_param(user_only, bool, 0444);
MODULE_PARM_DESC(user_only, "take no #VE in kernel mode");

static void post_patch(struct klp_object *object)
{
	int ret = pv_ve_start();

	if (ret)
		pr_err("cannot follow CPU hotplug (%d), so it stays off\n", ret);
}

static void pre_unpatch(struct klp_object *object)
{
	pv_ve_stop();
}

static struct klp_func functions[] = {
	{ .old_name = "tdx_get_ve_info", .new_func = pv_ve_get_info },
	{ .old_name = "tdx_handle_virt_exception", .new_func = pv_ve_handle },
	{ }
};

static struct klp_object objects[] = {
	{
		.funcs = functions,
		.callbacks = { .post_patch = post_patch, .pre_unpatch = pre_unpatch },
	},
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

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
	if (!user_only && !IS_ENABLED(CONFIG_PREEMPT_COUNT)) {
		pr_info("this kernel does not know where it may sleep: user mode only\n");
		user_only = true;
	}
	if (!user_only)
		wanted |= PV_VE_F_CPL0;
	pv_ve_host.features = offered & wanted;
	return 0;
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
	ret = pv_ve_pci_register();
	if (ret) {
		pr_err("no PCI function %04x:%04x that works (%d)\n", PV_VE_PCI_VENDOR_ID,
		       PV_VE_PCI_DEVICE_ID, ret);
		return -ENODEV;
	}
	pv_ve_kvm_find();
	pv_ve_stats_create();
	ret = klp_enable_patch(&patch);
	if (!ret)
		return 0;
	pr_err("livepatch cannot take the kernel's #VE handler (%d)\n", ret);
	pv_ve_stats_remove();
	pv_ve_pci_unregister();
	return ret;
}

static void __exit pv_ve_exit(void)
{
	pv_ve_pci_unregister();
	pv_ve_stats_remove();
	pv_ve_free();
}

module_init(pv_ve_init);
module_exit(pv_ve_exit);
MODULE_DESCRIPTION("Guest driver for pv-ve: tasks sleep while their pages are missing");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
