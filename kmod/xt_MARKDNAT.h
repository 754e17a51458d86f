/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _XT_MARKDNAT_H
#define _XT_MARKDNAT_H

#include <linux/types.h>

/**
 * struct xt_markdnat_tginfo - what a rule hands to the kernel, revision 0
 * @mark: value that is combined with the packet's mark by exclusive or
 * @mask: bits of the packet's mark that are cleared before
 *
 * The new mark is (packet mark & ~@mask) ^ @mark. Both are in host byte order,
 * and two 32 bit words have the same layout for every user space.
 */
struct xt_markdnat_tginfo {
	__u32 mark;
	__u32 mask;
};

#endif /* _XT_MARKDNAT_H */
