// What Go calls while it is entered, beside Envoy's own callbacks.
#include "moe.h"

void *moe_scheduler(moe_stream *s) { return CB(http_filter_scheduler_new)(s->envoy); }

void moe_commit(moe_stream *s) { CB(http_filter_scheduler_commit)(s->scheduler, 0); }

void moe_config_commit(moe_config *c) { CB(http_filter_config_scheduler_commit)(c->scheduler, 0); }
