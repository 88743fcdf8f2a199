// Package asker finds out which person asks Global a question, and whether that person may, as extension API servers do:
// who it is by a TokenReview, or by a client certificate of the API server's own client authority (which that server
// publishes in ConfigMap kube-system/extension-apiserver-authentication), and what the person may by a
// SubjectAccessReview. So rights are Kubernetes RBAC at the hub's API server, and there are no others.
//
// What the API server said counts for ten seconds, as with extension API servers: that long a right that was taken away
// may still be used, and that long a token that it did not know is refused without asking. Tokens that it does not know are
// bounded for each address, and take no turns from the questions about those who are known. Refusals are question.ErrUnauthenticated and question.ErrForbidden; question.ErrUnavailable is a hub
// whose API server does not answer. A process' certificate, one with a URI, is no person's.
//
// Its own account needs what ClusterRole system:auth-delegator and Role extension-apiserver-authentication-reader give.
// Only Global imports asker.
package asker
