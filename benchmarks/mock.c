/* A provider that costs next to nothing: chat completions out of memory, plain or streamed. One thread, epoll.
 *
 *   POST *               a JSON answer of 1.2 KB; with "stream": true in the first kilobyte of the body, events: all at
 *                        once, or `gap` microseconds apart, each written by itself. Bodies need a Content-Length.
 *   POST /v1/traces      what an OpenTelemetry collector says
 *   GET /set/EVENTS/GAP  sets how many events a stream has and what lies between them; not while streams run
 *
 * Usage: mock PORT. Needs Linux 5.11 (epoll_pwait2).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MOST = 16384, PEEK_MOST = 1024 };

typedef struct Text { char *at; size_t size; } Text;
typedef struct Conn {
    int fd, gone, queued, in_body, events_left, wants_usage, waits_for_room;
    char head[HEAD_MOST], peek[PEEK_MOST]; /* the request's head, and how its body begins */
    size_t head_size, peek_size, body_left;
    Text out; /* not written yet; always a piece of one of the texts below */
    long due; /* instant of the next event, ns */
    struct Conn *next;
} Conn;

static int poller;
static long events = 64, gap_us = 0;
static Text plain, collected, ok, first, middle, last, burst[2], tail[2]; /* [1]: with usage */
static Conn *queue, **queue_end = &queue; /* in order of `due`: all gaps are equal, so whoever comes is last */
static char buffer[1 << 18];

static long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000L + t.tv_nsec; }

static void add(Text *text, const char *more, size_t size) {
    text->at = realloc(text->at, text->size + size);
    memcpy(text->at + text->size, more, size);
    text->size += size;
}
static void add_text(Text *text, const char *more) { add(text, more, strlen(more)); }

#define STREAM_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#define EVENT(delta, finish) "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000," \
    "\"model\":\"bench-model\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}\n\n"
#define USAGE "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":" \
    "\"bench-model\",\"choices\":[],\"usage\":{\"prompt_tokens\":512,\"completion_tokens\":64,\"total_tokens\":576}}\n\n"

static void add_chunk(Text *text, const char *event) {
    char size[32];
    sprintf(size, "%zx\r\n", strlen(event));
    add_text(text, size);
    add_text(text, event);
    add_text(text, "\r\n");
}
static void write_answer(Text *text, const char *type, const char *body) {
    char head[256];
    sprintf(head, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", type, strlen(body));
    add_text(text, head);
    add_text(text, body);
}
static void write_texts(void) {
    char body[2048] = "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench-model\","
                      "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"";
    while (strlen(body) < 1000) strcat(body, "def rows(stream):\\n    return [line.split(',') for line in stream]\\n\\n");
    strcat(body, "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":512,\"completion_tokens\":256,\"total_tokens\":768}}");
    write_answer(&plain, "application/json", body);
    write_answer(&collected, "application/x-protobuf", "");
    write_answer(&ok, "text/plain", "ok\n");
    add_text(&first, STREAM_HEAD);
    add_chunk(&first, EVENT("{\"role\":\"assistant\",\"content\":\"def\"}", "null"));
    add_chunk(&middle, EVENT("{\"content\":\" the next few words of it\"}", "null"));
    add_chunk(&last, EVENT("{}", "\"stop\""));
    for (int usage = 0; usage < 2; usage++) {
        add(&tail[usage], last.at, last.size);
        if (usage) add_chunk(&tail[usage], USAGE);
        add_chunk(&tail[usage], "data: [DONE]\n\n");
        add_text(&tail[usage], "0\r\n\r\n");
    }
}
static void write_bursts(void) {
    for (int usage = 0; usage < 2; usage++) {
        burst[usage].size = 0;
        add(&burst[usage], first.at, first.size);
        for (long n = 2; n < events; n++) add(&burst[usage], middle.at, middle.size);
        add(&burst[usage], tail[usage].at, tail[usage].size);
    }
}

static void listen_for(Conn *c, int room) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (room ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
    c->waits_for_room = room;
}
static void leave(Conn *c) { /* whoever stands in the queue is freed when its turn comes */
    close(c->fd);
    c->gone = 1;
    if (!c->queued) free(c);
}
static int flush(Conn *c) { /* -1: the connection is lost */
    while (c->out.size) {
        ssize_t n = send(c->fd, c->out.at, c->out.size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return -1;
        if (n < 0) { if (!c->waits_for_room) listen_for(c, 1); return 0; }
        c->out.at += n;
        c->out.size -= n;
    }
    if (c->waits_for_room) listen_for(c, 0);
    return 0;
}
static int say(Conn *c, Text text) { c->out = text; return flush(c); }

static void stand_in_queue(Conn *c) {
    c->queued = 1;
    c->next = NULL;
    *queue_end = c;
    queue_end = &c->next;
}
static void play(long instant) { /* write every event that is due */
    while (queue && (queue->gone || queue->due <= instant)) {
        Conn *c = queue;
        if (!(queue = c->next)) queue_end = &queue;
        c->queued = 0;
        if (c->gone) { free(c); continue; }
        c->due += gap_us * 1000;
        if (!c->out.size) { /* a reader that does not keep up misses a turn */
            c->events_left--;
            if (say(c, c->events_left ? middle : tail[c->wants_usage])) { leave(c); continue; }
        }
        if (c->events_left) stand_in_queue(c);
    }
}
static int says_true(Conn *c, const char *key) {
    char *at = memmem(c->peek, c->peek_size, key, strlen(key)), *end = c->peek + c->peek_size;
    if (!at) return 0;
    for (at += strlen(key); at < end && strchr(" :\t\n", *at); at++) {}
    return at + 4 <= end && !memcmp(at, "true", 4);
}
static int answer(Conn *c) {
    if (!memcmp(c->head, "GET ", 4)) {
        if (sscanf(c->head, "GET /set/%ld/%ld ", &events, &gap_us) == 2) write_bursts();
        return say(c, ok);
    }
    if (!memcmp(c->head, "POST /v1/traces ", 16)) return say(c, collected);
    if (!says_true(c, "\"stream\"")) return say(c, plain);
    c->wants_usage = says_true(c, "\"include_usage\"");
    if (!gap_us) return say(c, burst[c->wants_usage]);
    c->events_left = events - 1;
    c->due = now() + gap_us * 1000;
    if (say(c, first)) return -1;
    stand_in_queue(c);
    return 0;
}
static size_t take_head(Conn *c, const char *p, size_t n) { /* returns how many bytes belonged to the head, 0: too many */
    size_t old = c->head_size, room = HEAD_MOST - 1 - old, taken = n < room ? n : room;
    memcpy(c->head + old, p, taken);
    c->head_size += taken;
    c->head[c->head_size] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return taken;
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    c->body_left = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    size_t size = end + 4 - c->head;
    c->head_size = c->peek_size = 0;
    c->in_body = 1;
    return size - old;
}
static int take(Conn *c, const char *p, size_t n) {
    while (n) {
        size_t taken;
        if (!c->in_body) {
            if (!(taken = take_head(c, p, n))) return -1;
        } else {
            taken = n < c->body_left ? n : c->body_left;
            size_t kept = PEEK_MOST - c->peek_size < taken ? PEEK_MOST - c->peek_size : taken;
            memcpy(c->peek + c->peek_size, p, kept);
            c->peek_size += kept;
            c->body_left -= taken;
        }
        p += taken;
        n -= taken;
        if (c->in_body && !c->body_left) {
            c->in_body = 0;
            if (answer(c)) return -1;
        }
    }
    return 0;
}
static int read_all(Conn *c) {
    for (;;) {
        ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EAGAIN) return 0;
        if (n <= 0 || take(c, buffer, n)) return -1;
        if (n < (ssize_t)sizeof buffer) return 0;
    }
}
static void welcome(int door) {
    int fd, one = 1;
    while ((fd = accept4(door, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Conn *c = calloc(1, sizeof *c);
        c->fd = fd;
        struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}
int main(int count, char **words) {
    if (count != 2) { fprintf(stderr, "usage: mock PORT\n"); return 2; }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    write_texts();
    write_bursts();
    int door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(door, (void *)&here, sizeof here) || listen(door, 4096)) { perror("mock"); return 1; }
    poller = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, happened[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, door, &e);
    for (;;) {
        long wait = queue ? queue->due - now() : 0;
        if (wait < 0) wait = 0;
        struct timespec until = {wait / 1000000000, wait % 1000000000};
        int n = epoll_pwait2(poller, happened, 256, queue ? &until : NULL, NULL);
        for (int i = 0; i < n; i++) {
            Conn *c = happened[i].data.ptr;
            if (!c) { welcome(door); continue; }
            int lost = (happened[i].events & EPOLLOUT) && flush(c);
            if (!lost && (happened[i].events & ~EPOLLOUT)) lost = read_all(c);
            if (lost) leave(c);
        }
        if (queue) play(now());
    }
}
