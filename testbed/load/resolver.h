/* The resolver: asks for names, and sends the clients off with the answers. */
#ifndef RESOLVER_H
#define RESOLVER_H

#include "generator.h"

void resolver_open(struct generator *g);
void resolver_begin(struct generator *g, bool idle, uint64_t time);
void resolver_ask_again(struct generator *g, uint32_t slot, uint64_t time);
void resolver_read(struct generator *g, uint32_t port);
void resolver_read_stream(struct generator *g, uint32_t port);

#endif
