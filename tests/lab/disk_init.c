/* The only process of a guest that writes to a shared disk. Every 50 ms it reads who wrote last (sector 0), appends a
   record with its own host, start and counter and with what it read, and makes itself the last writer: two guests that
   write at the same time find each other's names. The disk is an IDE disk at its old ports, so that no module of a
   kernel is needed. The kernel hands its unknown parameters over as environment: host, start. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <time.h>
#include <unistd.h>

enum { SECTOR = 512, REGION = 8192, PAUSE_MS = 50 };
enum { DATA = 0x1F0, COUNT = 0x1F2, LOW = 0x1F3, MID = 0x1F4, HIGH = 0x1F5, DRIVE = 0x1F6, COMMAND = 0x1F7 };
enum { READ = 0x20, WRITE = 0x30, FLUSH = 0xE7, BUSY = 0x80, REQUEST = 0x08, FAILED = 0x01 };

static void wait_for(uint8_t wanted) {
    for (;;) {
        uint8_t status = inb(COMMAND);
        if (status & BUSY) continue;
        if (status & FAILED) dprintf(1, "the disk reports an error\n");
        if ((status & wanted) == wanted) return;
    }
}

static void transfer(uint8_t command, uint32_t sector, void *buffer) {
    wait_for(0);
    outb(0xE0 | (sector >> 24 & 15), DRIVE);
    outb(1, COUNT);
    outb(sector, LOW);
    outb(sector >> 8, MID);
    outb(sector >> 16, HIGH);
    outb(command, COMMAND);
    wait_for(REQUEST);
    if (command == READ) insw(DATA, buffer, SECTOR / 2);
    else outsw(DATA, buffer, SECTOR / 2);
}

static void flush(void) {
    wait_for(0);
    outb(FLUSH, COMMAND);
    wait_for(0);
}

int main(void) {
    int serial = open("/dev/ttyS0", O_WRONLY | O_NOCTTY);
    dup2(serial, 1);
    const char *host = getenv("host"), *start = getenv("start");
    if (!host || !start || iopl(3)) dprintf(1, "no host, no start, or no ports\n");
    uint32_t region = 1 + (uint32_t)atoi(start ? start : "0") * REGION;
    char last[SECTOR], own[SECTOR], before[64];
    outb(2, 0x3F6); /* the disk is asked: it must not interrupt */
    dprintf(1, "writing\n");
    for (uint32_t n = 0; n < REGION; n++) {
        struct timespec pause = {0, PAUSE_MS * 1000000L};
        transfer(READ, 0, last);
        last[SECTOR - 1] = 0;
        if (sscanf(last, "writer %63[0-9:]", before) != 1) strcpy(before, "-");
        memset(own, 0, SECTOR);
        snprintf(own, SECTOR, "writer %s:%s:%u after %s\n", host, start, n, before);
        transfer(WRITE, region + n, own);
        transfer(WRITE, 0, own);
        flush();
        nanosleep(&pause, NULL);
    }
    for (;;) pause();
}
