// SPDX-License-Identifier: GPL-2.0-only
/*
 * xt_MARKDNAT - set the packet mark, then translate the flow's destination to
 * the IPv4 address that the mark, read in host byte order, stands for.
 *
 * Only the first packet of a flow passes the nat table; conntrack translates
 * the others. So the mark is set on that first packet only, too.
 */

#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/netfilter/x_tables.h>
#include <linux/skbuff.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_nat.h>

#include "xt_MARKDNAT.h"

static unsigned int
markdnat_tg(struct sk_buff *skb, const struct xt_action_param *par)
{
	const struct xt_markdnat_tginfo *info = par->targinfo;
	struct nf_nat_range2 range = { .flags = NF_NAT_RANGE_MAP_IPS };
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct;

	skb->mark = (skb->mark & ~info->mask) ^ info->mark;

	/* No address: not for us, as if the rule had not matched. */
	if (skb->mark == 0)
		return XT_CONTINUE;

	/* Untracked packets have no flow that could be translated. */
	ct = nf_ct_get(skb, &ctinfo);
	if (!ct || (ctinfo != IP_CT_NEW && ctinfo != IP_CT_RELATED))
		return XT_CONTINUE;

	/* A translation is made once; nf_nat_setup_info() warns at a second. */
	if (nf_nat_initialized(ct, NF_NAT_MANIP_DST))
		return XT_CONTINUE;

	range.min_addr.ip = htonl(skb->mark);
	range.max_addr.ip = range.min_addr.ip;
	return nf_nat_setup_info(ct, &range, NF_NAT_MANIP_DST);
}

/* The rule needs conntrack in its name space for as long as it exists. */
static int markdnat_tg_check(const struct xt_tgchk_param *par)
{
	return nf_ct_netns_get(par->net, par->family);
}

static void markdnat_tg_destroy(const struct xt_tgdtor_param *par)
{
	nf_ct_netns_put(par->net, par->family);
}

static struct xt_target markdnat_tg_reg __read_mostly = {
	.name		= "MARKDNAT",
	.revision	= 0,
	.family		= NFPROTO_IPV4,
	.table		= "nat",
	.hooks		= (1 << NF_INET_PRE_ROUTING) |
			  (1 << NF_INET_LOCAL_OUT),
	.target		= markdnat_tg,
	.targetsize	= sizeof(struct xt_markdnat_tginfo),
	.checkentry	= markdnat_tg_check,
	.destroy	= markdnat_tg_destroy,
	.me		= THIS_MODULE,
};

static int __init markdnat_tg_init(void)
{
	return xt_register_target(&markdnat_tg_reg);
}

static void __exit markdnat_tg_exit(void)
{
	xt_unregister_target(&markdnat_tg_reg);
}

module_init(markdnat_tg_init);
module_exit(markdnat_tg_exit);

MODULE_DESCRIPTION("Xtables: destination NAT to the address in the packet mark");
MODULE_AUTHOR("The realmgw authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("1.0");
MODULE_ALIAS("ipt_MARKDNAT");
