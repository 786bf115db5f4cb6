/*
 * Sends Ethernet frames out of an interface at a steady rate:
 *
 *   flood <interface> <frames per second> <seconds> <file>
 *
 * The file has one frame after another: a length of 2 octets (big endian), a kind of 1 octet, the frame.
 * Kinds: 0 as it is; 1 with 1 to 4 octets behind the EtherType made random; 2 with a new ECP sequence number each
 * time (octets 16-17); 3 with everything behind the EtherType made random; 4 cut off somewhere behind the EtherType.
 * Prints one JSON object: frames sent, frames that the kernel did not take, seconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, MAX_FRAMES = 512, MAX_LENGTH = 2048, TYPE_END = 14 };

typedef struct {
  unsigned char octets[MAX_LENGTH];
  unsigned length, kind;
} frame;

static frame frames[MAX_FRAMES];
static unsigned n_frames;

/* xorshift32: the same frames in each run */
static uint32_t dice(void) {
  static uint32_t state = 2463534242u;
  state ^= state << 13, state ^= state >> 17, state ^= state << 5;
  return state;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int fail(const char *what) {
  fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
  return 1;
}

static int load(const char *path) {
  FILE *file = fopen(path, "rb");
  unsigned char head[3];
  if (!file) return 0;
  while (n_frames < MAX_FRAMES && fread(head, 1, 3, file) == 3) {
    frame *f = &frames[n_frames];
    f->length = head[0] << 8 | head[1], f->kind = head[2];
    if (f->length < TYPE_END || f->length > MAX_LENGTH || fread(f->octets, 1, f->length, file) != f->length) break;
    n_frames++;
  }
  fclose(file);
  return n_frames > 0;
}

/* @returns the length */
static unsigned make(const frame *f, unsigned char *out) {
  static uint16_t sequence;
  unsigned length = f->length, room = f->length - TYPE_END;
  memcpy(out, f->octets, length);
  if (room == 0) return length;
  if (f->kind == 1)
    for (unsigned i = dice() % 4 + 1; i > 0; i--) out[TYPE_END + dice() % room] = dice();
  if (f->kind == 2 && room >= 4) sequence++, out[16] = sequence >> 8, out[17] = sequence;
  if (f->kind == 3)
    for (unsigned i = TYPE_END; i < length; i++) out[i] = dice();
  if (f->kind == 4) length = TYPE_END + dice() % room;
  return length;
}

int main(int argc, char **argv) {
  if (argc != 5) return fprintf(stderr, "usage: flood <interface> <frames per second> <seconds> <file>\n"), 2;
  double rate = atof(argv[2]), seconds = atof(argv[3]);
  if (!load(argv[4])) return fail(argv[4]);
  int fd = socket(AF_PACKET, SOCK_RAW, 0);
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1])};
  int on = 1;
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) return fail(argv[1]);
  setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);

  static unsigned char octets[BATCH][MAX_LENGTH];
  struct iovec parts[BATCH];
  struct mmsghdr messages[BATCH];
  memset(messages, 0, sizeof messages);
  uint64_t sent = 0, refused = 0, next = 0;
  double begin = now(), end = begin + seconds;
  for (double t = begin; t < end; t = now()) {
    double due = (t - begin) * rate - (double)(sent + refused);
    if (due < BATCH) {
      struct timespec rest = {0, (long)((BATCH - due) / rate * 1e9)};
      nanosleep(&rest, NULL);
      continue;
    }
    for (int i = 0; i < BATCH; i++) {
      parts[i] = (struct iovec){octets[i], make(&frames[next++ % n_frames], octets[i])};
      messages[i].msg_hdr.msg_iov = &parts[i], messages[i].msg_hdr.msg_iovlen = 1;
    }
    int taken = sendmmsg(fd, messages, BATCH, MSG_DONTWAIT);
    if (taken < 0 && errno != ENOBUFS && errno != EAGAIN) return fail("send");
    sent += taken < 0 ? 0 : (unsigned)taken;
    refused += taken < 0 ? BATCH : (unsigned)(BATCH - taken);
  }
  printf("{\"sent\":%llu,\"refused\":%llu,\"seconds\":%.3f}\n", (unsigned long long)sent, (unsigned long long)refused,
         now() - begin);
  return 0;
}
