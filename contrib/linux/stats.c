// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * debugfs: pv_ve/stats, a line for each CPU and the sums; pv_ve/urgent, how this guest last
 * described itself.
 */
#include "driver.h"

#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static const char *const names[PV_VE_N_COUNTS] = {
	[PV_VE_N_DELIVERED] = "delivered",
	[PV_VE_N_PARKED_USER] = "parked_user",
	[PV_VE_N_PARKED_KERNEL] = "parked_kernel",
	[PV_VE_N_AT_ONCE] = "at_once",
	[PV_VE_N_WAITED] = "waited",
	[PV_VE_N_ABANDONED] = "abandoned",
	[PV_VE_N_FAILED] = "failed",
	[PV_VE_N_NOTIFIED] = "notified",
};

static struct dentry *folder;

static void show_line(struct seq_file *file, const char *name, const u64 *count)
{
	int i;

	seq_printf(file, "%-5s", name);
	for (i = 0; i < PV_VE_N_COUNTS; i++)
		seq_printf(file, " %13llu", count[i]);
	seq_putc(file, '\n');
}

static int stats_show(struct seq_file *file, void *unused)
{
	u64 sum[PV_VE_N_COUNTS] = { };
	char name[8];
	int cpu, i;

	seq_printf(file, "%-5s", "cpu");
	for (i = 0; i < PV_VE_N_COUNTS; i++)
		seq_printf(file, " %13s", names[i]);
	seq_putc(file, '\n');
	for_each_possible_cpu(cpu) {
		const u64 *count = per_cpu_ptr(&pv_ve_cpus, cpu)->count;

		for (i = 0; i < PV_VE_N_COUNTS; i++)
			sum[i] += count[i];
		snprintf(name, sizeof(name), "%d", cpu);
		show_line(file, name, count);
	}
	show_line(file, "all", sum);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static int urgent_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "descriptions %llu\n", pv_ve_last.number);
	seq_printf(file, "pages %llu\n", pv_ve_last.pages);
	seq_printf(file, "left_out %llu\n", pv_ve_last.left_out);
	seq_printf(file, "microseconds %llu\n", pv_ve_last.took_us);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(urgent);

void pv_ve_stats_create(void)
{
	folder = debugfs_create_dir(KBUILD_MODNAME, NULL);
	debugfs_create_file("stats", 0444, folder, NULL, &stats_fops);
	debugfs_create_file("urgent", 0444, folder, NULL, &urgent_fops);
}

void pv_ve_stats_remove(void)
{
	debugfs_remove(folder);
}
