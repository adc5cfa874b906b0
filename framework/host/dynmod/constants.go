package dynmod

/*
#include "moe.h"
*/
import "C"

import "mosn.io/moe/framework/internal/phase"

// The C side's constants are those of the table of phases. One that differs makes a length that is not 0, which does not
// compile.
var (
	_ [0]struct{} = [C.WANT_REQUEST_HEADERS - phase.RequestHeaders]struct{}{}
	_ [0]struct{} = [C.WANT_REQUEST_BODY - phase.RequestBody]struct{}{}
	_ [0]struct{} = [C.WANT_REQUEST_TRAILERS - phase.RequestTrailers]struct{}{}
	_ [0]struct{} = [C.WANT_RESPONSE_HEADERS - phase.ResponseHeaders]struct{}{}
	_ [0]struct{} = [C.WANT_RESPONSE_BODY - phase.ResponseBody]struct{}{}
	_ [0]struct{} = [C.WANT_RESPONSE_TRAILERS - phase.ResponseTrailers]struct{}{}
	_ [0]struct{} = [C.WANT_COMPLETE - phase.Complete]struct{}{}
)
