/* A tool as NVTX loads it (NVTX_INJECTION64_PATH): writes every range pushed or popped in a domain to NVTX_TOOL_LOG.
   Layout after nvtxTypes.h, nvtxImplCore.h and nvtxExtTypes.h of NVTX 3; registered strings are our own copies. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef const void *(*GetExportTable)(uint32_t id);
typedef struct {
    size_t struct_size;
    int (*get_module_function_table)(int module, void ****table, unsigned *size);
} Callbacks;
typedef struct {
    uint16_t version, size;
    uint32_t category;
    int32_t color_type;
    uint32_t color;
    int32_t payload_type, reserved;
    uint64_t payload;
    int32_t message_type;
    const char *message;
} Event;

typedef struct {
    size_t id, count;
    intptr_t *slots;
} Segment;
typedef struct {
    uint16_t version, size, module, compatibility;
    size_t count;
    Segment *segments;
} Extension;

enum { PAYLOAD = 2, DOMAIN_IS_ENABLED = 7 };
enum { CALLBACKS = 1, CORE2 = 5, RANGE_PUSH = 4, RANGE_POP = 5, REGISTER_STRING = 10, CREATE_DOMAIN = 12 };

static void say(const char *verb, const char *text) {
    FILE *log = fopen(getenv("NVTX_TOOL_LOG"), "a");
    fprintf(log, "%s%s%s\n", verb, *text ? " " : "", text);
    fclose(log);
}

static int push(void *domain, const Event *event) {
    (void)domain;
    say("push", event->message);
    return 0;
}

static int pop(void *domain) {
    (void)domain;
    say("pop", "");
    return 0;
}

static void *register_string(void *domain, const char *text) {
    (void)domain;
    return strdup(text);
}

static void *create_domain(const char *name) { return strdup(name); }

int InitializeInjectionNvtx2(GetExportTable get) {
    const Callbacks *callbacks = get(CALLBACKS);
    void ***table = NULL;
    unsigned size = 0;
    if (!callbacks || !callbacks->get_module_function_table(CORE2, &table, &size) || size <= CREATE_DOMAIN) return 0;
    *table[RANGE_PUSH] = (void *)push;
    *table[RANGE_POP] = (void *)pop;
    *table[REGISTER_STRING] = (void *)register_string;
    *table[CREATE_DOMAIN] = (void *)create_domain;
    return 1;
}

static uint8_t is_enabled(void *domain) {
    (void)domain;
    return 1;
}

/* Python's nvtx asks the payload extension whether anybody listens, and does nothing at all otherwise. */
int InitializeInjectionNvtxExtension(Extension *extension) {
    if (extension->module != PAYLOAD) return 0;
    for (size_t i = 0; i < extension->count; i++) {
        if (extension->segments[i].count > DOMAIN_IS_ENABLED) extension->segments[i].slots[DOMAIN_IS_ENABLED] = (intptr_t)is_enabled;
    }
    return 1;
}
