/*
 * Datagram sockets that Node has no module for, on Node's own event loop: AF_PACKET (frames), AF_NETLINK
 * (rtnetlink) and AF_UNIX datagrams (sd_notify). Node-API 8, so one binary serves every Node from 20 on.
 *
 *   open(domain, type, protocol, slotOctets, options, filter, address, receive, intake) -> handle
 *   send(handle, octets, address?) -> 0 or errno
 *   statistics(handle) -> [messages that came to it, those of them that were lost], since the last call
 *   ref(handle, keepAlive), close(handle)
 *
 * open throws an Error whose message is the failed call and whose code is errno in decimal; linux/src/native.ts
 * makes names of it. receive(errno, Uint8Array[]) gets at most BATCH messages a call, at most ROUNDS times per
 * wake-up: timers and other sockets get their turn however fast frames come. With `intake` (messages at once, in a
 * second; octets at once, in a second) it is called once per wake-up, and not at all while either is used up.
 */
#include "socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_SLOT = 1 << 20 };

static const napi_type_tag HOLDER = {0x6e76652d6c696e75, 0x782d736f636b6574};

/* ---- closing ------------------------------------------------------------------------------------------- */

static void on_closed(uv_poll_t *handle) {
  sock *s = handle->data;
  if (--s->handles > 0) return;
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
  if (s->limited) uv_close(&s->pause, on_closed);
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

/* intake: four numbers greater than 0, or anything else for none. @returns whether there is one */
static int read_intake(napi_env env, napi_value list, double intake[4]) {
  for (uint32_t i = 0; i < 4; i++) {
    napi_value value;
    bool is = false;
    if (napi_is_array(env, list, &is) != napi_ok || !is || napi_get_element(env, list, i, &value) != napi_ok ||
        napi_get_value_double(env, value, &intake[i]) != napi_ok || !(intake[i] > 0))
      return 0;
  }
  return 1;
}

/* The timer beside the poll. @returns 0 or errno */
static int limit(uv_loop_t *loop, sock *s, const double intake[4]) {
  int error = -uv_timer_init(loop, &s->pause);
  if (error) return error;
  s->pause.data = s;
  s->handles++;
  s->frames = (budget){intake[0], intake[0], intake[1]};
  s->frame_octets = (budget){intake[2], intake[2], intake[3]};
  s->spent_at = uv_hrtime();
  s->limited = 1;
  return 0;
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
  return start_receiving(s);
}

static napi_value open_socket(napi_env env, napi_callback_info info) {
  size_t n = 9;
  napi_value a[9], handle;
  int32_t domain, type, protocol, slot;
  double intake[4];
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
  s->handles = 1;
  holder *h = s->owner;
  if (read_intake(env, a[8], intake)) error = limit(loop, s, intake);
  if (!error) error = watch(env, s, a[7]);
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

/*
 * Frames that passed the filter; and of them those that found the socket's buffer full, and messages longer than a
 * slot. Reading starts anew at 0.
 */
static napi_value statistics(napi_env env, napi_callback_info info) {
  size_t n = 1;
  napi_value a, both = NULL;
  napi_get_cb_info(env, info, &n, &a, NULL, NULL);
  sock *s = socket_of(env, a);
  struct tpacket_stats stats = {0, 0};
  socklen_t size = sizeof stats;
  uint32_t truncated = s ? s->truncated : 0;
  if (s) s->truncated = 0;
  if (s && s->domain == AF_PACKET) getsockopt(s->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size);
  napi_create_array_with_length(env, 2, &both);
  napi_set_element(env, both, 0, number(env, stats.tp_packets));
  napi_set_element(env, both, 1, number(env, stats.tp_drops + truncated));
  return both;
}

static napi_value keep_alive(napi_env env, napi_callback_info info) {
  size_t n = 2;
  napi_value a[2];
  bool on = true;
  napi_get_cb_info(env, info, &n, a, NULL, NULL);
  napi_get_value_bool(env, a[1], &on);
  sock *s = socket_of(env, a[0]);
  if (s) (on ? uv_ref : uv_unref)(&s->poll);
  if (s && s->limited) (on ? uv_ref : uv_unref)(&s->pause);
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
  if (uv_handle_size(UV_POLL) > sizeof(uv_poll_t) || uv_handle_size(UV_TIMER) > sizeof(uv_timer_t))
    return fail(env, "libuv's handles are larger than expected", EINVAL);
  const napi_property_descriptor functions[] = {
      {"open", NULL, open_socket, NULL, NULL, NULL, napi_enumerable, NULL},
      {"send", NULL, send_to, NULL, NULL, NULL, napi_enumerable, NULL},
      {"statistics", NULL, statistics, NULL, NULL, NULL, napi_enumerable, NULL},
      {"ref", NULL, keep_alive, NULL, NULL, NULL, napi_enumerable, NULL},
      {"close", NULL, close_socket, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
