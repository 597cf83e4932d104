/* The first process of a node with a hardware watchdog: it loads the modules of /modules in order, gives eth0 an
   address, starts /daemon and copies what that prints to the console. The kernel hands its unknown parameters over as
   environment: `signal` (19: freeze, 9: kill, 0: neither) is sent to the daemon `after` seconds after it was armed. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void load(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "/modules/%s", name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (syscall(SYS_finit_module, file, strstr(name, "i6300esb") ? "nowayout=1" : "", 0)) perror(name);
    close(file);
}

static void address(int channel, unsigned long request, const char *text) {
    struct ifreq wanted = {0};
    struct sockaddr_in *place = (struct sockaddr_in *)&wanted.ifr_addr;
    strcpy(wanted.ifr_name, "eth0");
    place->sin_family = AF_INET;
    inet_pton(AF_INET, text, &place->sin_addr);
    if (ioctl(channel, request, &wanted)) perror("eth0");
}

static void network(void) {
    struct ifreq wanted = {0};
    int channel = socket(AF_INET, SOCK_DGRAM, 0);
    address(channel, SIOCSIFADDR, "10.0.2.15");
    address(channel, SIOCSIFNETMASK, "255.255.255.0");
    strcpy(wanted.ifr_name, "eth0");
    wanted.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(channel, SIOCSIFFLAGS, &wanted)) perror("eth0 up");
    close(channel);
}

static int number(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

int main(void) {
    mount("dev", "/dev", "devtmpfs", 0, "");
    mount("proc", "/proc", "proc", 0, "");
    mount("sys", "/sys", "sysfs", 0, "");
    int console = open("/dev/ttyS0", O_RDWR | O_NOCTTY);
    for (int i = 0; i < 3; i++) dup2(console, i);
    struct dirent **found;
    int count = scandir("/modules", &found, NULL, alphasort);
    for (int i = 0; i < count; i++)
        if (found[i]->d_name[0] != '.') load(found[i]->d_name);
    network();
    for (;;) { /* as its unit has it: the daemon is started again */
        int output[2];
        pipe(output);
        pid_t child = fork();
        if (!child) {
            dup2(output[1], 2);
            execl("/daemon", "/daemon", NULL);
            perror("/daemon");
            _exit(1);
        }
        close(output[1]);
        FILE *lines = fdopen(output[0], "r");
        char line[1024];
        while (fgets(line, sizeof line, lines)) {
            printf("%s", line);
            fflush(stdout);
            if (strncmp(line, "armed", 5) || !number("signal")) continue;
            sleep(number("after"));
            printf("signal %d\n", number("signal"));
            fflush(stdout);
            kill(child, number("signal"));
        }
        fclose(lines);
        waitpid(child, NULL, 0);
        sleep(1);
    }
}
