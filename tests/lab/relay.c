/* relay IF_A IF_B DELAY_US LOSS_PERMILLE RATE_MBIT: carries Ethernet frames between two interfaces with a one-way delay,
   random loss and a rate limit. It stands in for tc's netem, which a small machine's kernel may lack. SIGUSR1 lets it lose
   every VXLAN packet, and SIGUSR2 none again: a firewall that changes its mind. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { SLOTS = 65536, BATCH = 256, IGNORE_OUTGOING = 23 };
typedef unsigned long long nanoseconds;

struct frame { nanoseconds due; int length; unsigned char *data; };
struct direction { int in, out; struct frame *queue; unsigned head, tail; nanoseconds line_free; };

static struct direction ways[2];
static nanoseconds delay;
static int loss;
static double rate;
static volatile sig_atomic_t no_vxlan;

static void switch_vxlan(int number) { no_vxlan = number == SIGUSR1; }

/* Over IPv4 without options, or IPv6: UDP to one of the ports that capture.py knows. */
static int is_vxlan(const unsigned char *frame, int length) {
    int four = length > 42 && frame[12] == 8 && frame[13] == 0 && frame[23] == 17;
    int six = length > 62 && frame[12] == 0x86 && frame[13] == 0xdd && frame[20] == 17;
    int at = four ? 36 : 56, port = four || six ? frame[at] << 8 | frame[at + 1] : 0;
    return port == 4789 || port == 4790;
}

static nanoseconds now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static int open_interface(const char *name) {
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL)), one = 1, size = 64 << 20;
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct packet_mreq everything = {.mr_type = PACKET_MR_PROMISC};
    address.sll_ifindex = everything.mr_ifindex = if_nametoindex(name);
    if (!address.sll_ifindex || bind(fd, (void *)&address, sizeof address)) {
        perror(name);
        exit(1);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    setsockopt(fd, SOL_PACKET, IGNORE_OUTGOING, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &everything, sizeof everything);
    return fd;
}

/* Send what is due; return when the next frame is. */
static nanoseconds deliver(struct direction *way) {
    while (way->head != way->tail) {
        struct frame *frame = &way->queue[way->head % SLOTS];
        if (frame->due > now()) return frame->due;
        if (send(way->out, frame->data, frame->length, 0) < 0 && now() < frame->due + 50000000) return now() + 50000;
        free(frame->data);
        way->head++;
    }
    return ~0ULL;
}

static void take(struct direction *way) {
    static unsigned char buffer[70000];
    for (int i = 0, length; i < BATCH && (length = recv(way->in, buffer, sizeof buffer, 0)) > 0; i++) {
        nanoseconds start = now();
        if (no_vxlan && is_vxlan(buffer, length)) continue;
        if ((loss && rand() % 1000 < loss) || way->tail - way->head >= SLOTS) continue;
        if (rate > 0) {
            if (way->line_free > start) start = way->line_free;
            if (start - now() > 100000000) continue; /* 100 ms of buffer, as a router has */
            start = way->line_free = start + (nanoseconds)(length * 8000.0 / rate);
        }
        struct frame *frame = &way->queue[way->tail++ % SLOTS];
        *frame = (struct frame){start + delay, length, memcpy(malloc(length), buffer, length)};
    }
}

int main(int count, char **words) {
    if (count < 6) return 2;
    delay = strtoull(words[3], NULL, 10) * 1000;
    loss = atoi(words[4]);
    rate = atof(words[5]);
    signal(SIGUSR1, switch_vxlan);
    signal(SIGUSR2, switch_vxlan);
    int a = open_interface(words[1]), b = open_interface(words[2]);
    ways[0] = (struct direction){.in = a, .out = b, .queue = calloc(SLOTS, sizeof(struct frame))};
    ways[1] = (struct direction){.in = b, .out = a, .queue = calloc(SLOTS, sizeof(struct frame))};
    for (;;) {
        nanoseconds one = deliver(&ways[0]), other = deliver(&ways[1]), next = one < other ? one : other, t = now();
        nanoseconds wait = next == ~0ULL ? 1000000000 : next > t ? next - t : 0;
        struct timespec patience = {wait / 1000000000, wait % 1000000000};
        struct pollfd both[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
        ppoll(both, 2, &patience, NULL);
        take(&ways[0]);
        take(&ways[1]);
    }
}
