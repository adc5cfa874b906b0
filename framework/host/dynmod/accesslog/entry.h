// What the C side of this package and its Go side share.
#pragma once

#include "abi.h"

// What Go may ask about the entry of a number while the thread that it is on logs that entry; of any other number, and on
// any other thread, there is nothing.
void moe_entry_texts(uint64_t number, const uint8_t *fields, size_t n, ebuf *values); // without a value: no pointer
uint64_t moe_entry_number(uint64_t number, unsigned field);
bool moe_entry_truth(uint64_t number, unsigned field);
bool moe_entry_address(uint64_t number, unsigned field, ebuf *ip, uint32_t *port);
size_t moe_entry_list_size(uint64_t number, unsigned field);
bool moe_entry_list(uint64_t number, unsigned field, ebuf *names);
int64_t moe_entry_time(uint64_t number, unsigned field);
uint64_t moe_entry_flags(uint64_t number);
bool moe_entry_times(uint64_t number, T(timing_info) *times, int64_t *pool_ready);
bool moe_entry_bytes(uint64_t number, T(bytes_info) *bytes);
const eheader *moe_entry_headers(uint64_t number, int block, size_t *n); // until this thread's next call
bool moe_entry_header(uint64_t number, int block, mbuf name, ebuf *value);

// A value of dynamic metadata.
typedef struct {
  enum { VALUE_NONE, VALUE_TEXT, VALUE_NUMBER, VALUE_TRUTH } kind;
  ebuf text;
  double number;
} moe_entry_value;
moe_entry_value moe_entry_metadata(uint64_t number, mbuf space, mbuf path);
