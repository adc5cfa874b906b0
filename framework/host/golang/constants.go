package golang

/*
#include "gate.h"
#include "resolve.h"
*/
import "C"

import "github.com/envoyproxy/envoy/contrib/golang/common/go/api"

// The constants of the C side are those of Envoy's module. One that differs makes a length that is not 0, which does
// not compile.

var (
	_ [0]struct{} = [C.STATUS_RUNNING - api.Running]struct{}{}
	_ [0]struct{} = [C.STATUS_LOCAL_REPLY - api.LocalReply]struct{}{}
	_ [0]struct{} = [C.STATUS_CONTINUE - api.Continue]struct{}{}
	_ [0]struct{} = [C.STATUS_BUFFER - api.StopAndBuffer]struct{}{}
	_ [0]struct{} = [C.STATUS_WATERMARK - api.StopAndBufferWatermark]struct{}{}
	_ [0]struct{} = [C.STATUS_NO_BUFFER - api.StopNoBuffer]struct{}{}
	_ [0]struct{} = [C.LOG_DOWNSTREAM_END - api.AccessLogDownstreamEnd]struct{}{}
	_ [0]struct{} = [C.MOE_NO_LOG_LEVEL - api.Error]struct{}{}
	_ [0]struct{} = [C.Set - api.SetBuffer]struct{}{}
)
