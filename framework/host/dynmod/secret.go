package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"encoding/json"
	"errors"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/internal/core"
)

// hasSecrets tells whether this Envoy shows dynamic modules its secrets.
var hasSecrets = bool(C.moe_has_secrets())

// MayListSecrets says which Envoy they need.
func (configHost) MayListSecrets() error {
	if !hasSecrets {
		return errors.New("needs Envoy 1.40 or later: older ones do not show dynamic modules their secrets; until then " +
			"give plugins {file: PATH} in their configuration")
	}
	return nil
}

// subscribe has Envoy keep the secrets of a filter that is being configured, and returns its numbers of them by their
// names. Envoy gives them up together with the configuration, also where that is refused.
func subscribe(c *C.moe_config, list []assembly.GenericSecret) (map[string]C.size_t, error) {
	if len(list) == 0 {
		return nil, nil
	}
	m := &scratch{}
	defer m.free()
	var errs config.Errors
	ids := make(map[string]C.size_t, len(list))
	for _, s := range list {
		source, refused := "", "the bootstrap of this Envoy has no generic secret of that name in "+
			"static_resources.secrets; add it there, or say in sds_config where it is"
		if s.Source != nil {
			text, err := json.Marshal(s.Source)
			if err != nil {
				errs = append(errs, config.Error{Path: s.Path + ".sds_config", Msg: err.Error()})
				continue
			}
			source, refused = string(text), "Envoy refuses its sds_config, which should be an envoy.config.core.v3.ConfigSource "+
				"that this Envoy can use; its log may say more"
		}
		id := C.envoy_dynamic_module_callback_http_filter_config_generic_secret_subscribe(
			c.envoy, m.buf(s.Name), m.buf(source))
		if id == 0 {
			errs = append(errs, config.Error{Path: s.Path, Msg: refused})
			continue
		}
		ids[s.Name] = id
	}
	return ids, errs.Err()
}

// Secret returns a generic secret that the filter's document lists.
func (h *handle) Secret(name string) (value string, err error) {
	if !hasSecrets {
		return "", h.Err(core.ErrUnsupported)
	}
	err = h.Lookup(func() bool {
		id := h.conf.secrets[name]
		if id == 0 {
			return false
		}
		var v C.ebuf
		ok := bool(C.envoy_dynamic_module_callback_http_filter_get_generic_secret(h.c.envoy, id, &v))
		if ok {
			value = goBuffer(v)
		}
		return ok
	})
	return value, err
}
