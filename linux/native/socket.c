/*
 * Datagram sockets that Node has no module for, on Node's own event loop: AF_PACKET (frames), AF_NETLINK
 * (rtnetlink) and AF_UNIX datagrams (sd_notify). Node-API 8, so one binary serves every Node from 20 on.
 *
 *   open(domain, type, protocol, slotOctets, options, filter, address, receive) -> handle
 *   send(handle, octets, address?) -> 0 or errno
 *   lost(handle) -> messages lost since the last call
 *   ref(handle, keepAlive), close(handle)
 *
 * open throws an Error whose message is the failed call and whose code is errno in decimal; linux/src/native.ts
 * makes names of it. receive(errno, Uint8Array[]) gets at most BATCH messages a call, at most ROUNDS times per
 * wake-up: timers and other sockets get their turn however fast frames come.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The part of libuv's ABI that has not changed in 1.x. Declared here because Node ships no uv.h with
 * node-api-headers; the size of uv_poll_t is compared with the library's when the addon is loaded.
 */
typedef struct uv_loop_s uv_loop_t;
typedef union {
  void *data;
  unsigned char octets[512];
  max_align_t align;
} uv_poll_t;
typedef void (*uv_poll_cb)(uv_poll_t *, int status, int events);
extern int uv_poll_init(uv_loop_t *, uv_poll_t *, int fd);
extern int uv_poll_start(uv_poll_t *, int events, uv_poll_cb);
extern int uv_poll_stop(uv_poll_t *);
extern void uv_close(uv_poll_t *, void (*closed)(uv_poll_t *));
extern void uv_ref(uv_poll_t *);
extern void uv_unref(uv_poll_t *);
extern size_t uv_handle_size(int type);

enum { UV_READABLE = 1, UV_POLL = 8 };
enum { BATCH = 64, ROUNDS = 4, DISCARD_ROUNDS = 256, ANCILLARY = 128, MAX_SLOT = 1 << 20 };

typedef struct holder holder;

/* One socket. Owned by the loop: freed when libuv has let go of `poll`. */
typedef struct {
  uv_poll_t poll; /* first: poll.data points back here */
  napi_env env;
  napi_ref receive;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  holder *owner;
  int fd, domain, closing;
  size_t slot;
  uint32_t truncated;
  struct mmsghdr messages[BATCH];
  struct iovec parts[BATCH];
  struct sockaddr_storage sources[BATCH];
  _Alignas(struct cmsghdr) char ancillary[BATCH][ANCILLARY];
  unsigned char *octets; /* BATCH slots */
} sock;

/* What JavaScript holds. It outlives the socket, so that use after close is EBADF and no crash. */
struct holder {
  sock *s;
};

static const napi_type_tag HOLDER = {0x6e76652d6c696e75, 0x782d736f636b6574};

/* ---- closing ------------------------------------------------------------------------------------------- */

static void on_closed(uv_poll_t *poll) {
  sock *s = poll->data;
  napi_async_cleanup_hook_handle hook = s->hook;
  if (s->receive) napi_delete_reference(s->env, s->receive);
  if (s->context) napi_async_destroy(s->env, s->context);
  free(s->octets);
  free(s);
  if (hook) napi_remove_async_cleanup_hook(hook); /* last: the environment may be gone after it */
}

static void begin_close(sock *s) {
  if (s->closing) return;
  s->closing = 1;
  if (s->owner) s->owner->s = NULL;
  uv_poll_stop(&s->poll);
  close(s->fd);
  uv_close(&s->poll, on_closed);
}

/* The hook must be the asynchronous one: with the plain one this file is unloaded before on_closed runs. */
static void on_environment_exit(napi_async_cleanup_hook_handle hook, void *s) {
  (void)hook;
  begin_close(s);
}

static void on_holder_collected(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  holder *h = data;
  if (h->s) h->s->owner = NULL; /* an open socket stays open: it belongs to the loop */
  free(h);
}

/* ---- receiving ----------------------------------------------------------------------------------------- */

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

/* @returns how many messages there are in the slots, or -1 with errno */
static int take(sock *s) {
  for (int i = 0; i < BATCH; i++) {
    s->messages[i].msg_hdr.msg_controllen = ANCILLARY;
    s->messages[i].msg_hdr.msg_namelen = sizeof s->sources[i];
  }
  return recvmmsg(s->fd, s->messages, BATCH, MSG_DONTWAIT, NULL);
}

/*
 * A netlink socket that has overflowed says so once (ENOBUFS) and then loses notifications in silence until it has
 * been read empty. What is in it is older than the loss, so nothing of it is worth keeping.
 */
static void report(sock *s, int error) {
  if (s->domain == AF_NETLINK && error == ENOBUFS)
    for (int round = 0; round < DISCARD_ROUNDS && (take(s) > 0 || errno == ENOBUFS); round++) continue;
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
  for (int round = 0; round < ROUNDS && !s->closing; round++) {
    int n = take(s);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) report(s, errno);
      return;
    }
    deliver(s, 0, n);
    if (n < BATCH) return;
  }
}

/* ---- open ---------------------------------------------------------------------------------------------- */

static napi_value fail(napi_env env, const char *operation, int error) {
  char code[16];
  snprintf(code, sizeof code, "%d", error);
  napi_throw_error(env, code, operation);
  return NULL;
}

static int bytes_of(napi_env env, napi_value value, void **data, size_t *size) {
  bool is = false;
  napi_typedarray_type type;
  napi_is_typedarray(env, value, &is);
  if (!is || napi_get_typedarray_info(env, value, &type, size, data, NULL, NULL) != napi_ok) return 0;
  return type == napi_uint8_array;
}

/* options: [level, name, Uint8Array][]. SO_RCVBUFFORCE falls back to SO_RCVBUF: it wants CAP_NET_ADMIN. */
static int set_options(napi_env env, int fd, napi_value list) {
  uint32_t n = 0;
  napi_get_array_length(env, list, &n);
  for (uint32_t i = 0; i < n; i++) {
    napi_value option, level_value, name_value, value;
    int32_t level, name;
    void *data;
    size_t size;
    if (napi_get_element(env, list, i, &option) || napi_get_element(env, option, 0, &level_value) ||
        napi_get_element(env, option, 1, &name_value) || napi_get_element(env, option, 2, &value) ||
        napi_get_value_int32(env, level_value, &level) || napi_get_value_int32(env, name_value, &name) ||
        !bytes_of(env, value, &data, &size))
      return EINVAL;
    if (setsockopt(fd, level, name, data, size) == 0) continue;
    int forced = level == SOL_SOCKET && name == SO_RCVBUFFORCE && errno == EPERM;
    if (!forced || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, data, size) < 0) return errno;
  }
  return 0;
}

/* filter: the octets of struct sock_filter[], or anything else for none. */
static int attach_filter(napi_env env, int fd, napi_value filter) {
  void *data;
  size_t size;
  if (!bytes_of(env, filter, &data, &size)) return 0;
  struct sock_fprog program = {.len = size / sizeof(struct sock_filter), .filter = data};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? errno : 0;
}

static int bind_to(napi_env env, int fd, napi_value address) {
  void *data;
  size_t size;
  if (!bytes_of(env, address, &data, &size)) return 0;
  return bind(fd, data, size) < 0 ? errno : 0;
}

static sock *allocate(napi_env env, int fd, int domain, size_t slot) {
  sock *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->octets = malloc(slot * BATCH); /* pages that no message touches are never used */
  s->owner = calloc(1, sizeof *s->owner);
  if (!s->octets || !s->owner) {
    free(s->octets), free(s->owner), free(s);
    return NULL;
  }
  s->owner->s = s;
  s->env = env, s->fd = fd, s->domain = domain, s->slot = slot;
  for (int i = 0; i < BATCH; i++) {
    s->parts[i] = (struct iovec){s->octets + i * slot, slot};
    s->messages[i].msg_hdr = (struct msghdr){
        .msg_name = &s->sources[i], .msg_iov = &s->parts[i], .msg_iovlen = 1, .msg_control = s->ancillary[i]};
  }
  return s;
}

/* From here on the loop owns the socket; a failure is undone by begin_close. */
static int watch(napi_env env, sock *s, napi_value receive) {
  napi_value name;
  napi_valuetype type = napi_undefined;
  napi_typeof(env, receive, &type);
  if (napi_add_async_cleanup_hook(env, on_environment_exit, s, &s->hook) != napi_ok) return ENOMEM;
  if (type != napi_function) return 0;
  if (napi_create_string_utf8(env, "nve-socket", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(env, NULL, name, &s->context) != napi_ok ||
      napi_create_reference(env, receive, 1, &s->receive) != napi_ok)
    return ENOMEM;
  return -uv_poll_start(&s->poll, UV_READABLE, on_poll);
}

static napi_value open_socket(napi_env env, napi_callback_info info) {
  size_t n = 8;
  napi_value a[8], handle;
  int32_t domain, type, protocol, slot;
  uv_loop_t *loop;
  napi_get_cb_info(env, info, &n, a, NULL, NULL);
  if (napi_get_value_int32(env, a[0], &domain) || napi_get_value_int32(env, a[1], &type) ||
      napi_get_value_int32(env, a[2], &protocol) || napi_get_value_int32(env, a[3], &slot) || slot < 1 ||
      slot > MAX_SLOT || napi_get_uv_event_loop(env, &loop) != napi_ok)
    return fail(env, "open", EINVAL);
  int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) return fail(env, "socket", errno);

  const char *step = "setsockopt";
  int error = set_options(env, fd, a[4]);
  if (!error) step = "attach filter", error = attach_filter(env, fd, a[5]);
  if (!error) step = "bind", error = bind_to(env, fd, a[6]);
  sock *s = NULL;
  if (!error) step = "open", s = allocate(env, fd, domain, (size_t)slot), error = s ? 0 : ENOMEM;
  if (!error) error = -uv_poll_init(loop, &s->poll, fd);
  if (error) {
    if (s) free(s->owner), free(s->octets), free(s);
    close(fd);
    return fail(env, step, error);
  }
  s->poll.data = s;
  holder *h = s->owner;
  error = watch(env, s, a[7]);
  if (!error && napi_create_external(env, h, on_holder_collected, NULL, &handle) != napi_ok) error = ENOMEM;
  if (error) {
    begin_close(s);
    free(h);
    return fail(env, step, error);
  }
  napi_type_tag_object(env, handle, &HOLDER);
  return handle;
}

/* ---- the other functions ------------------------------------------------------------------------------- */

static sock *socket_of(napi_env env, napi_value value) {
  void *h = NULL;
  bool ours = false;
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external) return NULL;
  if (napi_check_object_type_tag(env, value, &HOLDER, &ours) != napi_ok || !ours) return NULL;
  return napi_get_value_external(env, value, &h) == napi_ok && h ? ((holder *)h)->s : NULL;
}

static napi_value number(napi_env env, uint32_t n) {
  napi_value value = NULL;
  napi_create_uint32(env, n, &value);
  return value;
}

static napi_value send_to(napi_env env, napi_callback_info info) {
  size_t n = 3, size, address_size = 0;
  napi_value a[3];
  void *data, *address = NULL;
  napi_get_cb_info(env, info, &n, a, NULL, NULL);
  sock *s = socket_of(env, a[0]);
  if (!s) return number(env, EBADF);
  if (!bytes_of(env, a[1], &data, &size)) return number(env, EINVAL);
  if (!bytes_of(env, a[2], &address, &address_size)) address = NULL, address_size = 0;
  ssize_t sent = sendto(s->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, address, address_size);
  return number(env, sent < 0 ? (uint32_t)errno : 0);
}

/* Frames that found the socket's buffer full, and messages longer than a slot. Reading starts anew at 0. */
static napi_value lost(napi_env env, napi_callback_info info) {
  size_t n = 1;
  napi_value a;
  napi_get_cb_info(env, info, &n, &a, NULL, NULL);
  sock *s = socket_of(env, a);
  if (!s) return number(env, 0);
  struct tpacket_stats stats = {0, 0};
  socklen_t size = sizeof stats;
  if (s->domain == AF_PACKET) getsockopt(s->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size);
  uint32_t all = stats.tp_drops + s->truncated;
  s->truncated = 0;
  return number(env, all);
}

static napi_value keep_alive(napi_env env, napi_callback_info info) {
  size_t n = 2;
  napi_value a[2];
  bool on = true;
  napi_get_cb_info(env, info, &n, a, NULL, NULL);
  napi_get_value_bool(env, a[1], &on);
  sock *s = socket_of(env, a[0]);
  if (s) (on ? uv_ref : uv_unref)(&s->poll);
  return NULL;
}

static napi_value close_socket(napi_env env, napi_callback_info info) {
  size_t n = 1;
  napi_value a;
  napi_get_cb_info(env, info, &n, &a, NULL, NULL);
  sock *s = socket_of(env, a);
  if (s) begin_close(s);
  return NULL;
}

NAPI_MODULE_INIT() {
  if (uv_handle_size(UV_POLL) > sizeof(uv_poll_t)) return fail(env, "uv_poll_t is larger than expected", EINVAL);
  const napi_property_descriptor functions[] = {
      {"open", NULL, open_socket, NULL, NULL, NULL, napi_enumerable, NULL},
      {"send", NULL, send_to, NULL, NULL, NULL, napi_enumerable, NULL},
      {"lost", NULL, lost, NULL, NULL, NULL, napi_enumerable, NULL},
      {"ref", NULL, keep_alive, NULL, NULL, NULL, napi_enumerable, NULL},
      {"close", NULL, close_socket, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
