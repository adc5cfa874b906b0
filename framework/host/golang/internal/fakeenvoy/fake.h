#pragma once
#include <stddef.h>
#include <stdint.h>

// Names and configurations are of malloc, and the fake frees them.
typedef struct fake fake;
uint64_t fake_configure(char *name, size_t n, void *config, size_t config_n, int of_route);
uint64_t fake_merge(char *name, size_t n, uint64_t parent, uint64_t child);
void fake_forget(uint64_t id);
fake *fake_stream_new(uint64_t config, int brief); // brief: a reply ends it at once
int fake_headers(fake *s);
int fake_serve(fake *s);   // calls back if the host has asked for that
int fake_status(fake *s);
int fake_replied(fake *s);
int fake_set(fake *s);
void fake_destroy(fake *s);
void fake_limit(uint64_t limits); // plays a bridge that has them, until another call
