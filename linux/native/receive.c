/* The receiving half of socket.c: from the kernel's buffer into JavaScript's. */
#include "socket.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <string.h>

enum { ROUNDS = 4, DISCARD_ROUNDS = 256, PAUSE_MS = 10 };

typedef struct {
  int present;
  unsigned tpid, tci;
} vlan_tag;

/* The kernel takes the outer 802.1Q tag out of a frame and hands it over beside it. */
static vlan_tag tag_of(struct msghdr *m) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
    if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
    struct tpacket_auxdata aux;
    memcpy(&aux, CMSG_DATA(c), sizeof aux);
    if (!(aux.tp_status & TP_STATUS_VLAN_VALID)) continue;
    unsigned tpid = aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : 0x8100;
    return (vlan_tag){1, tpid, aux.tp_vlan_tci};
  }
  return (vlan_tag){0, 0, 0};
}

/* A copy that JavaScript owns, with the tag back where it was on the wire. */
static napi_status to_array(napi_env env, const unsigned char *from, size_t n, vlan_tag tag, napi_value *array) {
  void *out;
  napi_value buffer;
  int tagged = tag.present && n >= 12;
  napi_status status = napi_create_arraybuffer(env, tagged ? n + 4 : n, &out, &buffer);
  if (status != napi_ok) return status;
  unsigned char *to = out;
  if (tagged) {
    memcpy(to, from, 12);
    to[12] = tag.tpid >> 8, to[13] = tag.tpid, to[14] = tag.tci >> 8, to[15] = tag.tci;
    memcpy(to + 16, from + 12, n - 12);
  } else if (n > 0) {
    memcpy(to, from, n);
  }
  return napi_create_typedarray(env, napi_uint8_array, tagged ? n + 4 : n, buffer, 0, array);
}

/* Only what the kernel itself says counts as rtnetlink: other processes can send to the socket too. */
static int from_kernel(const sock *s, int i) {
  return s->domain != AF_NETLINK || ((const struct sockaddr_nl *)&s->sources[i])->nl_pid == 0;
}

static uint32_t collect(sock *s, int n, napi_value list, int *error) {
  uint32_t kept = 0;
  for (int i = 0; i < n; i++) {
    struct msghdr *m = &s->messages[i].msg_hdr;
    if (!from_kernel(s, i)) continue;
    if (m->msg_flags & MSG_TRUNC) {
      s->truncated++;
      if (s->domain == AF_NETLINK) *error = EMSGSIZE; /* state was lost, not a frame */
      continue;
    }
    vlan_tag tag = s->domain == AF_PACKET ? tag_of(m) : (vlan_tag){0, 0, 0};
    napi_value octets;
    if (to_array(s->env, s->octets + i * s->slot, s->messages[i].msg_len, tag, &octets) != napi_ok) break;
    napi_set_element(s->env, list, kept++, octets);
  }
  return kept;
}

/* What JavaScript throws goes the way of every uncaught exception. */
static void call(sock *s, napi_value *arguments) {
  napi_value receive, global, result;
  napi_get_reference_value(s->env, s->receive, &receive);
  napi_get_global(s->env, &global);
  napi_make_callback(s->env, s->context, global, receive, 2, arguments, &result);
  bool pending = false;
  napi_is_exception_pending(s->env, &pending);
  if (!pending) return;
  napi_value thrown;
  napi_get_and_clear_last_exception(s->env, &thrown);
  napi_fatal_exception(s->env, thrown);
}

static void deliver(sock *s, int error, int n) {
  napi_handle_scope scope;
  if (napi_open_handle_scope(s->env, &scope) != napi_ok) return;
  napi_value arguments[2];
  if (napi_create_array(s->env, &arguments[1]) == napi_ok) {
    uint32_t kept = collect(s, n, arguments[1], &error);
    napi_create_int32(s->env, error, &arguments[0]);
    if (error || kept) call(s, arguments);
  }
  napi_close_handle_scope(s->env, scope);
}

/* @returns how many messages there are in the slots, `most` at most, or -1 with errno */
static int take(sock *s, int most) {
  for (int i = 0; i < most; i++) {
    s->messages[i].msg_hdr.msg_controllen = ANCILLARY;
    s->messages[i].msg_hdr.msg_namelen = sizeof s->sources[i];
  }
  return recvmmsg(s->fd, s->messages, most, MSG_DONTWAIT, NULL);
}

/* ---- the intake limit ---------------------------------------------------------------------------------- */

static void fill(budget *b, double seconds) {
  b->left += seconds * b->per_second;
  if (b->left > b->burst) b->left = b->burst;
}

/* @returns how many messages may be taken now */
static int allowance(sock *s) {
  if (!s->limited) return BATCH;
  uint64_t now = uv_hrtime();
  double seconds = (double)(now - s->spent_at) / 1e9;
  s->spent_at = now;
  fill(&s->frames, seconds);
  fill(&s->frame_octets, seconds);
  if (s->frames.left < 1 || s->frame_octets.left < 1) return 0;
  return s->frames.left < BATCH ? (int)s->frames.left : BATCH;
}

static void spend(sock *s, int n) {
  if (!s->limited) return;
  s->frames.left -= n;
  for (int i = 0; i < n; i++) s->frame_octets.left -= s->messages[i].msg_len;
}

static void on_pause_over(uv_timer_t *timer) {
  sock *s = timer->data;
  if (!s->closing) start_receiving(s);
}

/* Until then the kernel keeps what comes, as far as there is room, and counts the rest. */
static void pause_receiving(sock *s) {
  uv_poll_stop(&s->poll);
  uv_timer_start(&s->pause, on_pause_over, PAUSE_MS, 0);
}

/* ---- polling ------------------------------------------------------------------------------------------- */

/*
 * A netlink socket that has overflowed says so once (ENOBUFS) and then loses notifications in silence until it has
 * been read empty. What is in it is older than the loss, so nothing of it is worth keeping.
 */
static void report(sock *s, int error) {
  if (s->domain == AF_NETLINK && error == ENOBUFS)
    for (int round = 0; round < DISCARD_ROUNDS && (take(s, BATCH) > 0 || errno == ENOBUFS); round++) continue;
  deliver(s, error, 0);
}

static void on_poll(uv_poll_t *poll, int status, int events);

/* libuv has stopped watching (an interface went down, say): report the cause and watch again. */
static void on_poll_error(sock *s, int status) {
  int cause = 0;
  socklen_t size = sizeof cause;
  getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &cause, &size);
  report(s, cause ? cause : -status);
  if (!s->closing) uv_poll_start(&s->poll, UV_READABLE, on_poll);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  (void)events;
  sock *s = poll->data;
  if (status < 0) {
    on_poll_error(s, status);
    return;
  }
  int rounds = s->limited ? 1 : ROUNDS;
  for (int round = 0; round < rounds && !s->closing; round++) {
    int most = allowance(s);
    if (most == 0) {
      pause_receiving(s);
      return;
    }
    int n = take(s, most);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) report(s, errno);
      return;
    }
    spend(s, n);
    deliver(s, 0, n);
    if (n < most) return;
  }
}

int start_receiving(sock *s) { return -uv_poll_start(&s->poll, UV_READABLE, on_poll); }
