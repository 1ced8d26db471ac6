//! In which order objects are made: what others need comes first; a rank at a time, all of a rank at once.

/// The rank of a kind, the lowest first.
pub(crate) fn rank(kind: &str) -> u8 {
    match kind {
        "Namespace" | "CustomResourceDefinition" => 0,
        "StorageClass" | "PriorityClass" | "IngressClass" | "PersistentVolume" | "ServiceAccount" | "ClusterRole"
        | "Role" | "ResourceQuota" | "LimitRange" | "NetworkPolicy" => 1,
        "ClusterRoleBinding" | "RoleBinding" | "Secret" | "ConfigMap" | "PersistentVolumeClaim" => 2,
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "ReplicationController"
        | "Job"
        | "CronJob"
        | "Pod" => 4,
        "HorizontalPodAutoscaler" | "PodDisruptionBudget" | "Ingress" => 5,
        "APIService" | "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => 6,
        // Services (their variables go into pods), and kinds that are not known here.
        _ => 3,
    }
}
