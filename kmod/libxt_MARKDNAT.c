// SPDX-License-Identifier: GPL-2.0-only
/* libxt_MARKDNAT - what iptables needs to know of the MARKDNAT target. */

#include <arpa/inet.h>
#include <stdio.h>
#include <xtables.h>

#include "xt_MARKDNAT.h"

enum {
	O_SET_XMARK,
	O_SET_MARK,
	O_AND_MARK,
	O_OR_MARK,
	O_XOR_MARK,

	F_SET_XMARK	= 1 << O_SET_XMARK,
	F_SET_MARK	= 1 << O_SET_MARK,
	F_AND_MARK	= 1 << O_AND_MARK,
	F_OR_MARK	= 1 << O_OR_MARK,
	F_XOR_MARK	= 1 << O_XOR_MARK,
	F_ANY		= F_SET_XMARK | F_SET_MARK | F_AND_MARK | F_OR_MARK |
			  F_XOR_MARK,
};

static void markdnat_tg_help(void)
{
	printf(
"MARKDNAT target options (exactly one):\n"
"  --set-xmark value[/mask]  Clear the bits of mask, then XOR value into the mark\n"
"  --set-mark value[/mask]   Clear the bits of value and mask, then OR value into it\n"
"  --and-mark bits           Binary AND the mark with bits\n"
"  --or-mark bits            Binary OR the mark with bits\n"
"  --xor-mark bits           Binary XOR the mark with bits\n"
"The flow's destination becomes the IPv4 address that the new mark stands for\n"
"(0xc0000201 is 192.0.2.1); --or-mark 0 takes the mark as it is. A new mark of 0\n"
"translates nothing. Valid in the nat table, PREROUTING and OUTPUT.\n");
}

#define MARKDNAT_OPT(opt_name, opt_id, opt_type)			\
	{								\
		.name	= (opt_name),					\
		.id	= (opt_id),					\
		.type	= (opt_type),					\
		.excl	= F_ANY & ~(1 << (opt_id)),			\
	}

static const struct xt_option_entry markdnat_tg_opts[] = {
	MARKDNAT_OPT("set-xmark", O_SET_XMARK, XTTYPE_MARKMASK32),
	MARKDNAT_OPT("set-mark", O_SET_MARK, XTTYPE_MARKMASK32),
	MARKDNAT_OPT("and-mark", O_AND_MARK, XTTYPE_UINT32),
	MARKDNAT_OPT("or-mark", O_OR_MARK, XTTYPE_UINT32),
	MARKDNAT_OPT("xor-mark", O_XOR_MARK, XTTYPE_UINT32),
	XTOPT_TABLEEND,
};

/* Every option is a way to write (mark & ~info->mask) ^ info->mark. */
static void markdnat_tg_parse(struct xt_option_call *cb)
{
	struct xt_markdnat_tginfo *info = cb->data;

	xtables_option_parse(cb);
	switch (cb->entry->id) {
	case O_SET_XMARK:
		info->mark = cb->val.mark;
		info->mask = cb->val.mask;
		break;
	case O_SET_MARK:
		info->mark = cb->val.mark;
		info->mask = cb->val.mark | cb->val.mask;
		break;
	case O_AND_MARK:
		info->mark = 0;
		info->mask = ~cb->val.u32;
		break;
	case O_OR_MARK:
		info->mark = cb->val.u32;
		info->mask = cb->val.u32;
		break;
	case O_XOR_MARK:
		info->mark = cb->val.u32;
		info->mask = 0;
		break;
	}
}

static void markdnat_tg_check(struct xt_fcheck_call *cb)
{
	if (cb->xflags == 0)
		xtables_error(PARAMETER_PROBLEM,
			      "MARKDNAT: one of --set-xmark, --set-mark, --and-mark, --or-mark, --xor-mark is required");
}

/* Listed by the shortest option that says the same, as MARK does. */
static void
markdnat_tg_print(const void *ip, const struct xt_entry_target *target,
		  int numeric)
{
	const struct xt_markdnat_tginfo *info = (const void *)target->data;

	if (info->mark == 0 && info->mask != 0)
		printf(" MARKDNAT and 0x%x", ~info->mask);
	else if (info->mark == info->mask)
		printf(" MARKDNAT or 0x%x", info->mark);
	else if (info->mask == 0)
		printf(" MARKDNAT xor 0x%x", info->mark);
	else if (info->mask == 0xffffffffU)
		printf(" MARKDNAT set 0x%x", info->mark);
	else
		printf(" MARKDNAT xset 0x%x/0x%x", info->mark, info->mask);
}

static void
markdnat_tg_save(const void *ip, const struct xt_entry_target *target)
{
	const struct xt_markdnat_tginfo *info = (const void *)target->data;

	printf(" --set-xmark 0x%x/0x%x", info->mark, info->mask);
}

/*
 * A mark that the rule alone determines gives a rule that nft loads. Any other
 * gives what nft would list for it: "dnat to meta mark" is understood by the
 * kernel, but refused by nft's own type check, so that loading such a
 * translation fails, loudly, instead of doing something else.
 */
static int
markdnat_tg_xlate(struct xt_xlate *xl, const struct xt_xlate_tg_params *params)
{
	const struct xt_markdnat_tginfo *info =
		(const void *)params->target->data;
	const struct in_addr address = { .s_addr = htonl(info->mark) };

	if (info->mask == 0xffffffffU) {
		xt_xlate_add(xl, "meta mark set 0x%x", info->mark);
		if (info->mark != 0)
			xt_xlate_add(xl, " dnat to %s", inet_ntoa(address));
		return 1;
	}

	if (info->mask != 0 && info->mark == info->mask) {
		xt_xlate_add(xl, "meta mark set meta mark or 0x%x ",
			     info->mark);
	} else if (info->mask != 0 || info->mark != 0) {
		xt_xlate_add(xl, "meta mark set meta mark");
		if (info->mask != 0)
			xt_xlate_add(xl, " and 0x%x", ~info->mask);
		if (info->mark != 0)
			xt_xlate_add(xl, " xor 0x%x", info->mark);
		xt_xlate_add(xl, " ");
	}
	xt_xlate_add(xl, "meta mark != 0x0 dnat to meta mark");
	return 1;
}

static struct xtables_target markdnat_tg_reg = {
	.version	= XTABLES_VERSION,
	.name		= "MARKDNAT",
	.revision	= 0,
	.family		= NFPROTO_IPV4,
	.size		= XT_ALIGN(sizeof(struct xt_markdnat_tginfo)),
	.userspacesize	= XT_ALIGN(sizeof(struct xt_markdnat_tginfo)),
	.help		= markdnat_tg_help,
	.print		= markdnat_tg_print,
	.save		= markdnat_tg_save,
	.x6_parse	= markdnat_tg_parse,
	.x6_fcheck	= markdnat_tg_check,
	.x6_options	= markdnat_tg_opts,
	.xlate		= markdnat_tg_xlate,
};

/* Run by the dynamic linker when iptables loads the library. */
static __attribute__((constructor)) void markdnat_tg_ldr(void)
{
	xtables_register_target(&markdnat_tg_reg);
}
