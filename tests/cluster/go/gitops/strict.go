package main

import (
	"encoding/json"
	"fmt"

	helm "github.com/fluxcd/helm-controller/api/v2"
	kustomize "github.com/fluxcd/kustomize-controller/api/v1"
	source "github.com/fluxcd/source-controller/api/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// strict decodes each object of a JSON list as the controller that reads it does, except that a
// field which the type does not have is an error.
func strict(content []byte) error {
	var objects []json.RawMessage
	if err := json.Unmarshal(content, &objects); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		helm.AddToScheme, kustomize.AddToScheme, source.AddToScheme, monitoring.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for number, object := range objects {
		if _, _, err := decoder.Decode(object, nil, nil); err != nil {
			return fmt.Errorf("object %d: %w", number, err)
		}
	}
	return nil
}
