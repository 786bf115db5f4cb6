/* What socket.c and receive.c share. */
#ifndef NVE_SOCKET_H
#define NVE_SOCKET_H

#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <node_api.h>

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * The part of libuv's ABI that has not changed in 1.x. Declared here because Node ships no uv.h with
 * node-api-headers; the size of uv_poll_t is compared with the library's when the addon is loaded.
 */
typedef struct uv_loop_s uv_loop_t;
typedef union {
  void *data;
  unsigned char octets[512];
  max_align_t align;
} uv_poll_t, uv_timer_t;
typedef void (*uv_poll_cb)(uv_poll_t *, int status, int events);
typedef void (*uv_timer_cb)(uv_timer_t *);
extern int uv_poll_init(uv_loop_t *, uv_poll_t *, int fd);
extern int uv_poll_start(uv_poll_t *, int events, uv_poll_cb);
extern int uv_poll_stop(uv_poll_t *);
extern int uv_timer_init(uv_loop_t *, uv_timer_t *);
extern int uv_timer_start(uv_timer_t *, uv_timer_cb, uint64_t ms, uint64_t repeat_ms);
extern uint64_t uv_hrtime(void);
extern void uv_close(uv_poll_t *, void (*closed)(uv_poll_t *));
extern void uv_ref(uv_poll_t *);
extern void uv_unref(uv_poll_t *);
extern size_t uv_handle_size(int type);

enum { UV_READABLE = 1, UV_POLL = 8, UV_TIMER = 13 };
enum { BATCH = 64, ANCILLARY = 128 };

typedef struct holder holder;

/* Token bucket. What comes is taken while anything is left, so nothing is too large for ever. */
typedef struct {
  double left, burst, per_second;
} budget;

/* One socket. Owned by the loop: freed when libuv has let go of `poll` and `pause`. */
typedef struct {
  uv_poll_t poll; /* first: poll.data points back here */
  uv_timer_t pause; /* until there is something in both budgets again */
  napi_env env;
  napi_ref receive;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  holder *owner;
  int fd, domain, closing, limited, handles;
  budget frames, frame_octets;
  uint64_t spent_at;
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

/* Watches the socket for messages. Where it is limited, no more is taken in than the budgets allow. @returns 0 or errno */
int start_receiving(sock *s);

#endif
