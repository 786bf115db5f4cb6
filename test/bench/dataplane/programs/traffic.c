/* SPDX-License-Identifier: Apache-2.0 */
/* What the virtual machines of the bench do, each call one measurement: traffic <namespace> <CPU> <what> ...
 * Each prints one line of JSON. Exits with 1 and a reason when it cannot. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define BATCH 64
#define SECOND 1000000000LL
#define PORT_OF_ECHO 7
#define PORT_OF_DISCARD 9
#define PORT_OF_QUIC 443

static void need(int ok, const char *what)
{
	if (ok) return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t clock_ns(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static uint16_t sum(const void *data, size_t octets, uint32_t with)
{
	const uint8_t *at = data;

	for (size_t i = 0; i + 1 < octets; i += 2) with += at[i] << 8 | at[i + 1];
	if (octets & 1) with += at[octets - 1] << 8;
	while (with >> 16) with = (with & 0xffff) + (with >> 16);
	return with;
}

/* Frames of 10.0.0.1 to 10.0.0.2, from the MAC 02:02:00:00:00:00 to 02:01:00 and a number. */
static void build(uint8_t *frame, size_t octets, uint16_t source_port)
{
	struct ether_header *eth = (void *)frame;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	uint32_t pseudo;

	memset(frame, 0, octets);
	memcpy(eth->ether_dhost, "\x02\x01\0\0\0\0", 6);
	memcpy(eth->ether_shost, "\x02\x02\0\0\0\0", 6);
	eth->ether_type = htons(ETHERTYPE_IP);
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = htons(octets - sizeof(*eth));
	ip->ttl = 64;
	ip->protocol = IPPROTO_UDP;
	ip->saddr = inet_addr("10.0.0.1");
	ip->daddr = inet_addr("10.0.0.2");
	ip->check = htons(~sum(ip, sizeof(*ip), 0));
	udp->source = htons(source_port);
	udp->dest = htons(PORT_OF_DISCARD);
	udp->len = htons(octets - sizeof(*eth) - sizeof(*ip));
	pseudo = sum(&ip->saddr, 8, IPPROTO_UDP + ntohs(udp->len));
	udp->check = htons(~sum(udp, ntohs(udp->len), pseudo));
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	return *state ^= *state << 5;
}

static void sleep_until(int64_t ns)
{
	struct timespec t = { ns / SECOND, ns % SECOND };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* send <interface> <milliseconds> <octets> <flows> <MACs> <frames a second, 0: as many as can be> */
static void send_frames(char **arg)
{
	int64_t end, start, cpu, due;
	size_t octets = atoi(arg[2]);
	uint32_t flows = atoi(arg[3]), macs = atoi(arg[4]), rate = atoi(arg[5]), state = 2463534242u;
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(arg[0]), .sll_halen = 6 };
	int fd = socket(AF_PACKET, SOCK_RAW, 0), batch = rate ? 16 : BATCH;
	static uint8_t frames[BATCH][2048];
	struct mmsghdr messages[BATCH] = {};
	struct iovec vectors[BATCH];
	int64_t sent = 0;

	need(fd >= 0 && !bind(fd, (void *)&to, sizeof(to)), "packet socket");
	for (int i = 0; i < BATCH; i++) {
		build(frames[i], octets, 10000 + i % flows);
		vectors[i] = (struct iovec){ frames[i], octets };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vectors[i], .msg_iovlen = 1 };
	}
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	due = start = now_ns();
	end = start + atoi(arg[1]) * 1000000LL;
	while (now_ns() < end) {
		for (int i = 0; macs > 1 && i < batch; i++) {
			uint32_t n = htonl((uint64_t)next_random(&state) * macs >> 32);

			memcpy(frames[i] + 3, (uint8_t *)&n + 1, 3);
		}
		int done = sendmmsg(fd, messages, batch, 0);

		need(done > 0 || errno == ENOBUFS, "sendmmsg");
		if (done > 0) sent += done;
		if (!rate) continue;
		due += batch * SECOND / rate;
		sleep_until(due);
	}
	printf("{\"sent\":%lld,\"ns\":%lld,\"cpuNs\":%lld}\n", (long long)sent, (long long)(now_ns() - start),
	       (long long)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu));
}

static int udp_socket(const char *ip, uint16_t port, int listens)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(ip) };
	struct timeval patience = { 1, 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 64 << 20;

	need(fd >= 0, "socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (!listens) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	need(!(listens ? bind : connect)(fd, (void *)&at, sizeof(at)), "address");
	return fd;
}

/* echo: without end */
static void echo(void)
{
	int fd = udp_socket("0.0.0.0", PORT_OF_ECHO, 1);
	struct sockaddr_in from;
	uint8_t octets[2048];

	for (;;) {
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(fd, octets, sizeof(octets), 0, (void *)&from, &length);

		if (got >= 0) sendto(fd, octets, got, 0, (void *)&from, length);
	}
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* rtt <IP> <times> */
static void rtt(char **arg)
{
	int fd = udp_socket(arg[0], PORT_OF_ECHO, 0), n = atoi(arg[1]), lost = 0;
	int64_t *times = calloc(n, sizeof(*times));
	uint8_t octets[18] = {};

	for (int i = -200; i < n; i++) {
		int64_t start = now_ns();

		memcpy(octets, &i, sizeof(i));
		send(fd, octets, sizeof(octets), 0);
		if (recv(fd, octets, sizeof(octets), 0) < 0) lost++;
		if (i >= 0) times[i] = now_ns() - start;
		need(lost < 5, "echo");
	}
	qsort(times, n, sizeof(*times), by_size);
	printf("{\"p50Us\":%.1f,\"p99Us\":%.1f,\"lost\":%d}\n", times[n / 2] / 1e3, times[n - 1 - n / 100] / 1e3, lost);
}

/* quic-send <IP> <super-packets> <datagrams in each> <octets of each>: as QUIC stacks send, one call for many */
static void quic_send(char **arg)
{
	int fd = udp_socket(arg[0], PORT_OF_QUIC, 0), supers = atoi(arg[1]), each = atoi(arg[2]), octets = atoi(arg[3]);
	uint8_t *data = malloc(each * octets);
	uint32_t number = 0;

	need(!setsockopt(fd, SOL_UDP, UDP_SEGMENT, &octets, sizeof(octets)), "UDP_SEGMENT");
	for (int s = 0; s < supers; s++) {
		for (int i = 0; i < each; i++, number++) {
			memset(data + i * octets, number, octets);
			memcpy(data + i * octets, &number, sizeof(number));
		}
		need(send(fd, data, each * octets, 0) == each * octets, "send");
		if (s % 8 == 7) usleep(200);
	}
	printf("{\"sent\":%u}\n", number);
}

/* quic-receive <datagrams> <octets of each>: until all are there, or none has come for a second */
static void quic_receive(char **arg)
{
	int fd = udp_socket("0.0.0.0", PORT_OF_QUIC, 1), octets = atoi(arg[1]);
	uint32_t wanted = atoi(arg[0]), got = 0, wrong = 0, twice = 0;
	uint8_t *seen = calloc(wanted, 1), data[65536];
	struct timeval patience = { 5, 0 };

	printf("{\"listens\":true}\n");
	fflush(stdout);
	while (got < wanted) {
		uint32_t number;

		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		ssize_t length = recv(fd, data, sizeof(data), 0);

		if (length < 0) break;
		patience.tv_sec = 1;
		memcpy(&number, data, sizeof(number));
		int bad = length != octets || number >= wanted;

		for (int i = sizeof(number); !bad && i < length; i++) bad = data[i] != (uint8_t)number;
		if (bad) wrong++;
		else if (seen[number]++) twice++;
		else got++;
	}
	printf("{\"received\":%u,\"corrupt\":%u,\"twice\":%u}\n", got, wrong, twice);
}

/* offload <interface> <0 or 1>: checksums, and splitting of large segments, by the NIC */
static void offload(char **arg)
{
	static const uint32_t commands[] = { ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = atoi(arg[1]);

	for (int i = 0; i < 3; i++) {
		struct ethtool_value value = { .cmd = commands[on ? i : 2 - i], .data = on };
		struct ifreq request = { .ifr_data = (void *)&value };

		strncpy(request.ifr_name, arg[0], IFNAMSIZ - 1);
		need(!ioctl(fd, SIOCETHTOOL, &request), "offload");
	}
	printf("{}\n");
}

int main(int n, char **arg)
{
	cpu_set_t cpus;

	if (n < 4) return 2;
	int fd = open(arg[1], O_RDONLY);

	need(fd >= 0 && !setns(fd, CLONE_NEWNET), arg[1]);
	close(fd);
	CPU_ZERO(&cpus);
	CPU_SET(atoi(arg[2]), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus); /* on one core it is that one */
	if (!strcmp(arg[3], "send") && n == 10) send_frames(arg + 4);
	else if (!strcmp(arg[3], "echo")) echo();
	else if (!strcmp(arg[3], "rtt") && n == 6) rtt(arg + 4);
	else if (!strcmp(arg[3], "quic-send") && n == 8) quic_send(arg + 4);
	else if (!strcmp(arg[3], "quic-receive") && n == 6) quic_receive(arg + 4);
	else if (!strcmp(arg[3], "offload") && n == 6) offload(arg + 4);
	else return 2;
	return 0;
}
