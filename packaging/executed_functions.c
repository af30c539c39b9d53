// executed_functions SYMBOLS OUT PROGRAM [ARGUMENT...]
//
// Runs PROGRAM and writes the names of the functions that it executes to OUT, in the order of their first execution. Once no
// further function has been executed for a second, it writes an empty line, and the functions that are executed from then on, in
// the order in which that happens. SYMBOLS contains lines of an address in hexadecimal and a name. Each function gets a
// breakpoint, which its first execution removes. For Linux on x86_64.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    unsigned long address;
    char *name;
    unsigned char byte;
    int is_executed;
} Function;

static Function *functions;
static size_t count;
static int memory;

static int by_address(const void *left, const void *right) {
    unsigned long a = ((const Function *)left)->address, b = ((const Function *)right)->address;
    return (a > b) - (a < b);
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void read_symbols(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) fail(path);
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) > 0) {
        char *name;
        unsigned long address = strtoul(line, &name, 16);
        name += strspn(name, " ");
        name[strcspn(name, "\n")] = 0;
        functions = realloc(functions, (count + 1) * sizeof(Function));
        functions[count++] = (Function){address, strdup(name), 0, 0};
    }
    free(line);
    fclose(file);
    qsort(functions, count, sizeof(Function), by_address);
}

// Where the program is loaded; 0 if its symbols have absolute addresses.
static unsigned long base_of(pid_t child, const char *program) {
    char path[64], *line = NULL, *real = realpath(program, NULL);
    size_t size = 0;
    unsigned long base = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", child);
    FILE *maps = fopen(path, "r");
    if (!maps || !real) fail(path);
    while (!base && getline(&line, &size, maps) > 0)
        if (strstr(line, real)) base = strtoul(line, NULL, 16);
    fclose(maps);
    return functions[0].address >= base ? 0 : base;
}

// Gives each function a breakpoint.
static void set_breakpoints(void) {
    const unsigned char breakpoint = 0xcc;
    for (size_t i = 0; i < count; i++) {
        functions[i].is_executed = 0;
        if (pwrite(memory, &breakpoint, 1, functions[i].address) != 1) fail(functions[i].name);
    }
}

static void interrupt_wait(int signal) { (void)signal; }

int main(int arguments, char **argument) {
    if (arguments < 4) return 2;
    read_symbols(argument[1]);
    FILE *out = fopen(argument[2], "w");
    if (!out || !count) fail(argument[2]);
    pid_t child = fork();
    if (!child) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argument[3], argument + 3);
        _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status)) fail(argument[3]);
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
    unsigned long base = base_of(child, argument[3]);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", child);
    memory = open(path, O_RDWR);
    if (memory < 0) fail(path);
    for (size_t i = 0; i < count; i++) {
        functions[i].address += base;
        if (pread(memory, &functions[i].byte, 1, functions[i].address) != 1) fail(functions[i].name);
    }
    set_breakpoints();
    // Without SA_RESTART, so that it interrupts waitpid.
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = interrupt_wait}, NULL);
    alarm(1);
    size_t found = 0, found_before = 0;
    int is_second_pass = 0;
    ptrace(PTRACE_CONT, child, 0, 0);
    for (;;) {
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0 && errno == EINTR) {
            // The stop of the program sets the breakpoints again.
            if (found == found_before && found) kill(child, SIGSTOP);
            else alarm(1);
            found_before = found;
            continue;
        }
        if (thread <= 0) break;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (thread == child) break;
            continue;
        }
        int signal = WSTOPSIG(status);
        if (signal == SIGSTOP && thread == child && !is_second_pass) {
            is_second_pass = 1;
            fprintf(out, "\n");
            set_breakpoints();
        }
        struct user_regs_struct registers;
        // A stop with an event is about a new thread, whose own first stop is SIGSTOP.
        if (signal == SIGTRAP && !(status >> 16) && !ptrace(PTRACE_GETREGS, thread, 0, &registers)) {
            Function key = {registers.rip - 1, NULL, 0, 0};
            Function *hit = bsearch(&key, functions, count, sizeof(Function), by_address);
            if (hit) {
                if (!hit->is_executed) {
                    hit->is_executed = 1;
                    found++;
                    pwrite(memory, &hit->byte, 1, hit->address);
                    fprintf(out, "%s\n", hit->name);
                    fflush(out);
                }
                registers.rip = hit->address;
                ptrace(PTRACE_SETREGS, thread, 0, &registers);
            }
        }
        ptrace(PTRACE_CONT, thread, 0, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
    }
    return 0;
}
