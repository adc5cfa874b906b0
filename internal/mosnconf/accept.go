package mosnconf

// originalDst is MOSN's own listener filter, and the only one that it has.
const originalDst = "original_dst"

// listenerFilters converts what a listener does with a connection that it has accepted. MOSN's own filter becomes Envoy's, and
// the others the listener filter "mosn", which runs them.
func (c *converter) listenerFilters(path string, l *listener, out obj) {
	switch l.OriginalDst {
	case "":
	case "tproxy":
		out["transparent"] = true
		fallthrough
	case "redirect":
		out["use_original_dst"] = true
	default:
		c.fail(path+".use_original_dst", "%q is not supported; redirect and tproxy are", l.OriginalDst)
	}
	var filters list
	var others []filter // that the module runs, and that stand together
	module := func() {
		if others != nil {
			filters = append(filters, listenerModule(l, others))
		}
		others = nil
	}
	restores := false
	for i, f := range l.ListenerFilters {
		switch at := index(path+".listener_filters", i); {
		case f.Type != originalDst:
			others = append(others, f)
		case !c.originalDst(at, l, &f):
		case l.OriginalDst == "" && i == 0:
			c.note(at, "has no effect on a listener without use_original_dst")
		default:
			module()
			filters = append(filters, originalDstFilter())
			restores = true
		}
	}
	module()
	if l.OriginalDst != "" && !restores { // MOSN puts it behind the others, too
		filters = append(filters, originalDstFilter())
	}
	if filters != nil {
		out["listener_filters"] = filters
	}
}

// originalDst checks the configuration of MOSN's filter, which Envoy's does not have.
func (c *converter) originalDst(path string, l *listener, f *filter) bool {
	var conf struct {
		Type     string `json:"type"`
		Fallback bool   `json:"fallback_to_local" no:"where no listener has the original address, Envoy takes the one of 0.0.0.0 with its port; have that listen"`
	}
	if !c.decode(path+".config", f.Config, &conf) {
		return false
	}
	switch conf.Type {
	case "":
		conf.Type = "redirect"
	case "redirect", "tproxy":
	default:
		c.fail(path+".config.type", "%q is not supported; redirect and tproxy are", conf.Type)
		return false
	}
	if l.OriginalDst != "" && l.OriginalDst != conf.Type {
		c.fail(path+".config.type", "it is %s, and use_original_dst of the listener is %s; Envoy has one of them", conf.Type, l.OriginalDst)
		return false
	}
	return true
}

func originalDstFilter() obj {
	return obj{"name": "envoy.filters.listener.original_dst", "typed_config": message(
		extensions+"filters.listener.original_dst.v3.OriginalDst", obj{})}
}

// listenerModule is the listener filter of the dynamic module that runs MOSN's.
func listenerModule(l *listener, filters []filter) obj {
	conf := obj{"listener_filters": entries(filters)}
	if l.OriginalDst != "" {
		conf["use_original_dst"] = true
	}
	return obj{"name": "moe.mosn", "typed_config": message(
		extensions+"filters.listener.dynamic_modules.v3.DynamicModuleListenerFilter", obj{
			"dynamic_module_config": obj{"name": "moe", "do_not_close": true}, "filter_name": "mosn",
			"filter_config": message("google.protobuf.Struct", obj{"value": conf}),
		})}
}
