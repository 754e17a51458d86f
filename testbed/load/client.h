/* The clients: each sends its first packet, and reads the reply. */
#ifndef CLIENT_H
#define CLIENT_H

#include "generator.h"

void client_open(struct generator *g);
void client_send(struct generator *g, uint32_t slot, uint64_t time);
void client_read(struct generator *g, uint32_t slot); /* the client's own socket */
void client_read_receiver(struct generator *g, uint32_t ipv6); /* replies to raw packets */

#endif
