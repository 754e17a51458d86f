#include "targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

static const char BLANK[] = " \t\r\n";

static void read_hosts(const char *place, char *text, struct target *target)
{
    char *rest;

    memset(target->host, 0, sizeof target->host);
    for (text = strtok_r(text, ",", &rest); text; text = strtok_r(NULL, ",", &rest)) {
        struct in6_addr host = read_address(place, text);

        target->host[!is_ipv4(&host)] = host;
    }
}

/* Reads one line into `target`; false for an empty one. */
static bool read_line(char *line, const char *place, uint16_t default_port, struct target *target)
{
    char *rest, *name, *host, *port;

    line[strcspn(line, "#")] = '\0';
    name = strtok_r(line, BLANK, &rest);
    if (!name)
        return false;
    host = strtok_r(NULL, BLANK, &rest);
    port = strtok_r(NULL, BLANK, &rest);
    target->name_length = (uint8_t)dns_name(name, target->name);
    if (!target->name_length || !host)
        give_up("%s: NAME HOST-ADDRESS[,HOST-ADDRESS] [PORT] is wanted", place);
    read_hosts(place, host, target);
    target->port = port ? (uint16_t)read_number(place, port, 1, 65535) : default_port;
    return true;
}

static struct target *room_for_one_more(struct targets *targets, uint32_t *room)
{
    if (targets->count == *room) {
        *room = *room ? 2 * *room : 64;
        targets->all = realloc(targets->all, *room * sizeof *targets->all);
        if (!targets->all)
            give_up("no memory for %u names", *room);
    }
    return &targets->all[targets->count];
}

struct targets targets_from(const char *path, uint16_t default_port)
{
    struct targets targets = {.count = 0};
    uint32_t room = 0;
    char line[512], place[512];
    FILE *file = fopen(path, "r");

    if (!file)
        give_up("%s: %m", path);
    for (unsigned number = 1; fgets(line, sizeof line, file); number++) {
        snprintf(place, sizeof place, "%.480s:%u", path, number);
        targets.count += read_line(line, place, default_port, room_for_one_more(&targets, &room));
    }
    fclose(file);
    if (!targets.count)
        give_up("%s: there are no names in it", path);
    return targets;
}
