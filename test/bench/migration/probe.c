// Numbered datagrams to VNICs that move, and where each of them arrives. One process for all namespaces, so that one clock
// counts: `probe s:<namespace>:<interface> … p:<namespace>:<interface> …`, senders and places, each numbered from 0 as given.
// Whole frames by AF_PACKET: no address, route or ARP of the namespaces takes part. A place's time is the kernel's, of when the
// frame came in; all times are CLOCK_MONOTONIC, in microseconds. Commands, a line each; each is answered by a line or more:
//   to <sender> <MAC> <MAC> <IPv4> <IPv4>   one more VNIC to send to: from, to                  -> ok
//   nobody                                  forgets them                                         -> ok
//   stream <id> <per second>                begins, to each of them; what came before is forgotten -> ok
//   seen <place>                            how many have come there                             -> seen <n>
//   garp <place> <MAC> <IPv4>               a gratuitous ARP from there                          -> garp <when>
//   end                                     no more are sent                                     -> ended <each>
//   dump                                    what came: <place> <VNIC> <number> <when> <sent>, …  -> done
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_SOCKETS = 4096, MOST_TARGETS = 256, PORT = 7000, LENGTH = 14 + 20 + 8 + 32 };
static const uint32_t MAGIC = 0x6d6f7665;

struct target {
	int sender;
	uint8_t frame[LENGTH];
};
struct arrival {
	uint16_t place, target;
	uint32_t number;
	int64_t at, sent;
};
struct payload {
	uint32_t magic, stream, target, number;
	int64_t sent;
} __attribute__((packed));

static int senders[MOST_SOCKETS], places[MOST_SOCKETS];
static int sender_count, place_count;
static struct target targets[MOST_TARGETS];
static int target_count;
static struct arrival *arrivals;
static size_t arrived, room;
static unsigned seen[MOST_SOCKETS];
static _Atomic uint32_t stream; // 0: none
static _Atomic uint32_t sent_each;
static uint32_t current;
static int64_t interval;
static _Atomic int is_sending;

static int64_t now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

__attribute__((noreturn)) static void fail(const char *what, const char *of)
{
	fprintf(stderr, "probe: %s %s: %s\n", what, of, strerror(errno));
	exit(1);
}

static int packet_socket(char *of, int protocol)
{
	char *namespace = strtok(of, ":"), *interface = strtok(NULL, ":"), path[256];
	snprintf(path, sizeof path, "/run/netns/%s", namespace);
	int there = open(path, O_RDONLY | O_CLOEXEC);
	if (there < 0 || setns(there, CLONE_NEWNET) != 0) fail("namespace", namespace);
	close(there);
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol) };
	at.sll_ifindex = if_nametoindex(interface);
	if (fd < 0 || at.sll_ifindex == 0) fail("interface", interface);
	int on = 1, octets = 4 << 20;
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0) fail("bind", interface);
	return fd;
}

__attribute__((noreturn)) static void *sending(void *unused)
{
	(void)unused;
	struct sched_param urgent = { .sched_priority = 10 };
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &urgent); // else it is only less punctual
	for (;;) {
		uint32_t id = stream;
		if (id == 0) {
			is_sending = 0;
			usleep(200);
			continue;
		}
		is_sending = 1;
		int64_t next = now(CLOCK_MONOTONIC);
		for (uint32_t n = 0; stream == id; n++) {
			for (int i = 0; i < target_count; i++) {
				struct payload p = { MAGIC, id, i, n, now(CLOCK_MONOTONIC) };
				memcpy(targets[i].frame + 42, &p, sizeof p);
				if (send(senders[targets[i].sender], targets[i].frame, LENGTH, 0) != LENGTH)
					fail("send", "");
			}
			sent_each = n + 1;
			next += interval;
			struct timespec until = { next / 1000000000, next % 1000000000 };
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		}
	}
}

static void take(int place)
{
	uint8_t frame[2048], control[256];
	struct iovec part = { frame, sizeof frame };
	for (;;) {
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
		message.msg_control = control;
		message.msg_controllen = sizeof control;
		ssize_t length = recvmsg(places[place], &message, MSG_DONTWAIT);
		if (length < 0) return;
		struct payload p;
		if (length < LENGTH || frame[12] != 8 || frame[13] != 0) continue;
		memcpy(&p, frame + 42, sizeof p);
		if (p.magic != MAGIC || p.stream != current) continue;
		int64_t at = now(CLOCK_MONOTONIC), real = now(CLOCK_REALTIME);
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
			if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
				struct timespec t;
				memcpy(&t, CMSG_DATA(c), sizeof t);
				at -= real - (t.tv_sec * 1000000000LL + t.tv_nsec);
			}
		if (arrived == room) {
			room = room ? 2 * room : 4096;
			arrivals = realloc(arrivals, room * sizeof *arrivals);
			if (!arrivals) fail("memory", "");
		}
		arrivals[arrived++] = (struct arrival){ place, p.target, p.number, at, p.sent };
		seen[place]++;
	}
}

static void mac_of(const char *text, uint8_t *into)
{
	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", into, into + 1, into + 2, into + 3, into + 4, into + 5) != 6)
		fail("MAC", text);
}

static void add_target(int sender, const char *from_mac, const char *to_mac, const char *from, const char *to)
{
	if (target_count == MOST_TARGETS || sender >= sender_count) fail("target", to);
	struct target *one = &targets[target_count];
	uint8_t *f = one->frame;
	memset(f, 0, LENGTH);
	one->sender = sender;
	mac_of(to_mac, f);
	mac_of(from_mac, f + 6);
	f[12] = 8;
	uint8_t ip[20] = { 0x45, 0, 0, LENGTH - 14, 0, 0, 0x40, 0, 64, 17 };
	if (inet_pton(AF_INET, from, ip + 12) != 1 || inet_pton(AF_INET, to, ip + 16) != 1) fail("IP", to);
	uint32_t sum = 0;
	for (int i = 0; i < 20; i += 2) sum += ip[i] << 8 | ip[i + 1];
	while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
	ip[10] = ~sum >> 8;
	ip[11] = ~sum;
	memcpy(f + 14, ip, 20);
	uint8_t udp[8] = { PORT >> 8, PORT & 255, PORT >> 8, PORT & 255, 0, LENGTH - 34 };
	memcpy(f + 34, udp, 8);
	target_count++;
}

static int64_t announce(int place, const char *mac, const char *ip)
{
	uint8_t f[60] = { 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1 };
	mac_of(mac, f + 6);
	memcpy(f + 22, f + 6, 6);
	if (inet_pton(AF_INET, ip, f + 28) != 1) fail("IP", ip);
	memcpy(f + 38, f + 28, 4);
	int64_t when = now(CLOCK_MONOTONIC);
	if (send(places[place], f, sizeof f, 0) != sizeof f) fail("announce", ip);
	return when;
}

static void obey(char *line)
{
	char a[64], b[64], c[64], d[64];
	unsigned n, m;
	if (sscanf(line, "to %u %63s %63s %63s %63s", &n, a, b, c, d) == 5) {
		add_target(n, a, b, c, d);
		puts("ok");
	} else if (strncmp(line, "nobody", 6) == 0) {
		target_count = 0;
		puts("ok");
	} else if (sscanf(line, "stream %u %u", &n, &m) == 2) {
		arrived = 0;
		memset(seen, 0, sizeof seen);
		sent_each = 0;
		interval = 1000000000LL / m;
		current = n;
		stream = n;
		puts("ok");
	} else if (sscanf(line, "seen %u", &n) == 1)
		printf("seen %u\n", seen[n % MOST_SOCKETS]);
	else if (sscanf(line, "garp %u %63s %63s", &n, a, b) == 3)
		printf("garp %.1f\n", announce(n, a, b) / 1e3);
	else if (strncmp(line, "end", 3) == 0) {
		stream = 0;
		while (is_sending) usleep(100);
		printf("ended %u\n", sent_each);
	} else if (strncmp(line, "dump", 4) == 0) {
		for (size_t i = 0; i < arrived; i++) {
			struct arrival *it = &arrivals[i];
			printf("%u %u %u %.1f %.1f\n", it->place, it->target, it->number, it->at / 1e3, it->sent / 1e3);
		}
		puts("done");
	} else
		fail("unknown command", line);
	fflush(stdout);
}

int main(int count, char **words)
{
	for (int i = 1; i < count; i++) {
		int is_place = words[i][0] == 'p';
		int fd = packet_socket(words[i] + 2, is_place ? ETH_P_IP : 0);
		if (is_place)
			places[place_count++] = fd;
		else
			senders[sender_count++] = fd;
	}
	pthread_t thread;
	pthread_create(&thread, NULL, sending, NULL);
	puts("ready");
	fflush(stdout);
	static struct pollfd polled[MOST_SOCKETS + 1];
	static char line[4096];
	size_t length = 0;
	polled[0] = (struct pollfd){ .fd = 0, .events = POLLIN };
	for (int i = 0; i < place_count; i++) polled[i + 1] = (struct pollfd){ .fd = places[i], .events = POLLIN };
	for (;;) {
		poll(polled, place_count + 1, -1);
		for (int i = 0; i < place_count; i++)
			if (polled[i + 1].revents & POLLIN) take(i);
		if (polled[0].revents == 0) continue;
		ssize_t got = read(0, line + length, sizeof line - 1 - length);
		if (got <= 0) return 0;
		length += got;
		line[length] = 0;
		for (char *end; (end = strchr(line, '\n')); length -= end + 1 - line, memmove(line, end + 1, length + 1)) {
			*end = 0;
			obey(line);
		}
	}
}
