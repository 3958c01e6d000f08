// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * KVM's own asynchronous page fault, which would take the faults of user mode:
 * off while we are on.
 */
#include "driver.h"

#include <linux/kvm_para.h>
#include <asm/cpuid.h>
#include <asm/msr.h>

static bool kvm_has_apf;

void pv_ve_kvm_find(void)
{
	u32 features = KVM_CPUID_FEATURES - KVM_CPUID_SIGNATURE;
	u32 base = hypervisor_cpuid_base(KVM_SIGNATURE, features);

	kvm_has_apf = IS_ENABLED(CONFIG_KVM_GUEST) && base &&
		      cpuid_eax(base + features) & BIT(KVM_FEATURE_ASYNC_PF);
}

void pv_ve_kvm_off(struct pv_ve_cpu *cpu)
{
	cpu->kvm_apf = 0;
	if (!kvm_has_apf || rdmsrl_safe(MSR_KVM_ASYNC_PF_EN, &cpu->kvm_apf) ||
	    !(cpu->kvm_apf & KVM_ASYNC_PF_ENABLED))
		return;
	wrmsrl(MSR_KVM_ASYNC_PF_EN, 0);
	kvm_async_pf_task_wake(~0);	/* KVM has forgotten who waits on this CPU */
}

void pv_ve_kvm_restore(struct pv_ve_cpu *cpu)
{
	if (cpu->kvm_apf & KVM_ASYNC_PF_ENABLED)
		wrmsrl(MSR_KVM_ASYNC_PF_EN, cpu->kvm_apf);
	cpu->kvm_apf = 0;
}
