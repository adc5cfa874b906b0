package istio

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"

	"sigs.k8s.io/yaml"

	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// Image says how libmoe.so comes into istio-proxy. The zero value is that of the documentation.
type Image struct {
	ProxyImage   string // of Istio, to build upon; "" is istio/proxyv2
	LibraryImage string // that has libmoe.so in its root, for Library, Sidecar and Gateway; "" is moe:latest
	Dir          string // in the proxy; "" is /var/lib/moe
	Secrets      []v1alpha1.SecretMount
}

func (i Image) defaults() Image {
	i.ProxyImage = cmp.Or(i.ProxyImage, "istio/proxyv2:1.31.0")
	i.LibraryImage = cmp.Or(i.LibraryImage, "moe:latest")
	i.Dir = cmp.Or(i.Dir, "/var/lib/moe")
	return i
}

// searchPath is the variable by which Envoy finds dynamic modules.
const searchPath = "ENVOY_DYNAMIC_MODULES_SEARCH_PATH"

// Proxy returns the Dockerfile of a proxy with the library inside.
func (i Image) Proxy() string {
	i = i.defaults()
	return fmt.Sprintf(`# docker build -t istio-proxy-moe . ; the folder has a libmoe.so, of make libmoe or moe build.
FROM %s
COPY --chmod=0555 libmoe.so %s
ENV %s=%s
`, i.ProxyImage, path.Join(i.Dir, "libmoe.so"), searchPath, i.Dir)
}

// Library returns the Dockerfile of an image with nothing but the library and what copies it.
func (i Image) Library() string {
	return `# docker build -t moe . ; the folder has a libmoe.so, of make libmoe or moe build.
FROM busybox:stable
COPY --chmod=0555 libmoe.so /libmoe.so
`
}

type dict = map[string]any

const volume = "moe"

func (i Image) copies() dict {
	return dict{
		"name": "moe", "image": i.LibraryImage,
		"command":      []any{"cp", "/libmoe.so", path.Join(i.Dir, "libmoe.so")},
		"volumeMounts": []any{dict{"name": volume, "mountPath": i.Dir}},
	}
}

func secretVolume(s v1alpha1.SecretMount) string { return "moe-secret-" + s.Name }

// Sidecar returns a patch for a Deployment whose pods have sidecars: annotations that have Istio mount the library and
// the Secrets into the proxy, and the init container that brings the library. As the proxy reads its configuration once
// it runs, it must not run before: so it is not a native sidecar, which would be started ahead of init containers.
func (i Image) Sidecar() ([]byte, error) {
	i = i.defaults()
	volumes, mounts := dict{volume: dict{"emptyDir": dict{}}}, dict{volume: dict{"mountPath": i.Dir, "readOnly": true}}
	for _, s := range i.Secrets {
		volumes[secretVolume(s)] = dict{"secret": dict{"secretName": s.Name}}
		mounts[secretVolume(s)] = dict{"mountPath": policy.MountPath(s), "readOnly": true}
	}
	v, err := json.Marshal(volumes)
	if err != nil {
		return nil, err
	}
	m, err := json.Marshal(mounts)
	if err != nil {
		return nil, err
	}
	c, err := yaml.Marshal(dict{"proxyMetadata": dict{searchPath: i.Dir}})
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(dict{"spec": dict{"template": dict{
		"metadata": dict{"annotations": dict{
			"sidecar.istio.io/nativeSidecar":   "false",
			"sidecar.istio.io/userVolume":      string(v),
			"sidecar.istio.io/userVolumeMount": string(m),
			"proxy.istio.io/config":            string(c),
		}},
		"spec": dict{"initContainers": []any{i.copies()}},
	}}})
}

// Gateway returns a patch for the Deployment of a gateway, whose only container is istio-proxy.
func (i Image) Gateway() ([]byte, error) {
	i = i.defaults()
	volumes := []any{dict{"name": volume, "emptyDir": dict{}}}
	mounts := []any{dict{"name": volume, "mountPath": i.Dir, "readOnly": true}}
	for _, s := range i.Secrets {
		volumes = append(volumes, dict{"name": secretVolume(s), "secret": dict{"secretName": s.Name}})
		mounts = append(mounts, dict{"name": secretVolume(s), "mountPath": policy.MountPath(s), "readOnly": true})
	}
	return yaml.Marshal(dict{"spec": dict{"template": dict{
		"metadata": dict{"annotations": dict{"sidecar.istio.io/nativeSidecar": "false"}},
		"spec": dict{
			"initContainers": []any{i.copies()},
			"volumes":        volumes,
			"containers": []any{dict{
				"name": "istio-proxy", "volumeMounts": mounts,
				"env": []any{dict{"name": searchPath, "value": i.Dir}},
			}},
		},
	}}})
}

// WaypointConfigMap is the name of [Image.Waypoint]'s ConfigMap.
const WaypointConfigMap = "moe-waypoint"

// Waypoint returns a ConfigMap for waypoints, whose Deployments Istio makes: it merges the patch of [Image.Gateway], which
// stands under the key deployment, into that of each Gateway that names the ConfigMap by infrastructure.parametersRef. The
// ConfigMap must be in the Gateway's namespace; "" leaves that to kubectl.
func (i Image) Waypoint(namespace string) ([]byte, error) {
	patch, err := i.Gateway()
	if err != nil {
		return nil, err
	}
	metadata := dict{"name": WaypointConfigMap}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	text, err := yaml.Marshal(dict{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict{"deployment": string(patch)},
	})
	return append([]byte(`# In the Gateway of the waypoint, in this ConfigMap's namespace:
#   spec: {infrastructure: {parametersRef: {group: "", kind: ConfigMap, name: `+WaypointConfigMap+`}}}
`), text...), err
}
