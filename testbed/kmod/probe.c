/*
 * probe - tells where a packet went.
 *
 *	probe serve PORT ADDRESS...	answers each TCP connection and UDP datagram with
 *					"tcp|udp local=ADDRESS:PORT peer=ADDRESS"
 *	probe ask tcp|udp ADDRESS PORT	prints the answer; status 1 and the reason if there is none within 2 s
 *	probe flows ADDRESS PORT COUNT	that many UDP flows, one after the other, each from a port of its own;
 *					prints nanoseconds per flow; status 1 if one of them got no answer
 *
 * Status 2: called in a wrong way, or out of resources.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MAX_ADDRESSES 8
#define ANSWER_SIZE 128

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static struct sockaddr_in endpoint(const char *address, const char *port)
{
	struct sockaddr_in name = { .sin_family = AF_INET };

	name.sin_port = htons((unsigned short)atoi(port));
	if (inet_pton(AF_INET, address, &name.sin_addr) != 1) {
		fprintf(stderr, "probe: %s is no IPv4 address\n", address);
		exit(2);
	}
	return name;
}

static int bound_socket(int type, const struct sockaddr_in *name)
{
	int one = 1;
	int fd = socket(AF_INET, type, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)name, sizeof(*name)) < 0)
		die("bind");
	if (type == SOCK_STREAM && listen(fd, 16) < 0)
		die("listen");
	return fd;
}

static size_t describe(char *answer, const char *protocol, const struct sockaddr_in *local, const struct sockaddr_in *peer)
{
	char here[INET_ADDRSTRLEN], there[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &local->sin_addr, here, sizeof(here));
	inet_ntop(AF_INET, &peer->sin_addr, there, sizeof(there));
	return (size_t)snprintf(answer, ANSWER_SIZE, "%s local=%s:%u peer=%s\n", protocol, here, ntohs(local->sin_port), there);
}

static void answer_connection(int listener, const struct sockaddr_in *local)
{
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);
	char answer[ANSWER_SIZE];
	int fd = accept(listener, (struct sockaddr *)&peer, &size);
	size_t length;

	if (fd < 0)
		return; /* the client gave up meanwhile */
	length = describe(answer, "tcp", local, &peer);
	if (write(fd, answer, length) < 0)
		perror("write");
	close(fd);
}

static void answer_datagram(int fd, const struct sockaddr_in *local)
{
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);
	char question[ANSWER_SIZE], answer[ANSWER_SIZE];

	if (recvfrom(fd, question, sizeof(question), 0, (struct sockaddr *)&peer, &size) < 0)
		return; /* an ICMP error of an earlier answer */
	sendto(fd, answer, describe(answer, "udp", local, &peer), 0, (struct sockaddr *)&peer, size);
}

static _Noreturn void serve(const char *port, char **addresses, int count)
{
	struct sockaddr_in local[MAX_ADDRESSES];
	struct pollfd fds[2 * MAX_ADDRESSES];

	for (int i = 0; i < count; i++) {
		local[i] = endpoint(addresses[i], port);
		fds[2 * i] = (struct pollfd){ .fd = bound_socket(SOCK_STREAM, &local[i]), .events = POLLIN };
		fds[2 * i + 1] = (struct pollfd){ .fd = bound_socket(SOCK_DGRAM, &local[i]), .events = POLLIN };
	}
	for (;;) {
		if (poll(fds, (nfds_t)(2 * count), -1) < 0)
			die("poll");
		for (int i = 0; i < count; i++) {
			if (fds[2 * i].revents)
				answer_connection(fds[2 * i].fd, &local[i]);
			if (fds[2 * i + 1].revents)
				answer_datagram(fds[2 * i + 1].fd, &local[i]);
		}
	}
}

/* Returns the length of the answer, or -1 with errno. */
static ssize_t exchange(int type, const struct sockaddr_in *server, char *answer)
{
	struct timeval patience = { .tv_sec = 2 };
	int fd = socket(AF_INET, type, 0);
	ssize_t length = -1;
	int error;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)server, sizeof(*server)) == 0 &&
	    (type == SOCK_STREAM || send(fd, "?", 1, 0) == 1))
		length = recv(fd, answer, ANSWER_SIZE, 0);
	error = errno;
	close(fd);
	errno = error;
	return length;
}

static int ask(const char *protocol, const char *address, const char *port)
{
	struct sockaddr_in server = endpoint(address, port);
	char answer[ANSWER_SIZE];
	ssize_t length = exchange(strcmp(protocol, "tcp") ? SOCK_DGRAM : SOCK_STREAM, &server, answer);

	if (length <= 0) {
		printf("%s: no answer: %s\n", protocol, length ? strerror(errno) : "closed");
		return 1;
	}
	fwrite(answer, 1, (size_t)length, stdout);
	return 0;
}

static int flows(const char *address, const char *port, int count)
{
	struct sockaddr_in server = endpoint(address, port);
	struct timespec begin, end;
	char answer[ANSWER_SIZE];

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < count; i++) {
		if (exchange(SOCK_DGRAM, &server, answer) <= 0) {
			fprintf(stderr, "flow %d: %s\n", i, strerror(errno));
			return 1;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%lld\n", ((end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec) / count);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && argc - 3 <= MAX_ADDRESSES && !strcmp(argv[1], "serve"))
		serve(argv[2], argv + 3, argc - 3);
	if (argc == 5 && !strcmp(argv[1], "ask") && (!strcmp(argv[2], "tcp") || !strcmp(argv[2], "udp")))
		return ask(argv[2], argv[3], argv[4]);
	if (argc == 5 && !strcmp(argv[1], "flows") && atoi(argv[4]) > 0)
		return flows(argv[2], argv[3], atoi(argv[4]));
	fprintf(stderr, "usage: probe serve PORT ADDRESS... | ask tcp|udp ADDRESS PORT | flows ADDRESS PORT COUNT\n");
	return 2;
}
