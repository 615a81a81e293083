//! News of one kind of object for the controller of another, from the stream that fills the store.

use futures::{Stream, stream};
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Tells whether an object is another than it was, its status aside; what is gone always is.
#[derive(Default)]
pub struct Generations(Mutex<BTreeMap<(String, String), Option<i64>>>);

impl Generations {
    /// Notes the object.
    pub fn changed(&self, object: &impl ResourceExt, gone: bool) -> bool {
        let of = (object.namespace().unwrap_or_default(), object.name_any());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gone {
            known.remove(&of);
            return true;
        }
        let generation = object.meta().generation;
        known
            .insert(of, generation)
            .is_none_or(|before| before != generation)
    }
}

/// A way for news. What is told is a reference of whatever kind the hearer wants to know of.
pub struct Changes<K: Resource<DynamicType = ()>> {
    tell: UnboundedSender<ObjectRef<K>>,
    hear: Mutex<Option<UnboundedReceiver<ObjectRef<K>>>>,
}

impl<K: Resource<DynamicType = ()>> Default for Changes<K> {
    fn default() -> Changes<K> {
        let (tell, hear) = unbounded_channel();
        let hear = Mutex::new(Some(hear));
        Changes { tell, hear }
    }
}

impl<K: Resource<DynamicType = ()>> Changes<K> {
    /// Tells.
    pub fn teller(&self) -> UnboundedSender<ObjectRef<K>> {
        self.tell.clone()
    }

    /// Hears; the first who asks, and nobody else.
    pub fn heard(&self) -> impl Stream<Item = ObjectRef<K>> + Send + 'static + use<K>
    where
        ObjectRef<K>: Send + 'static,
    {
        let hear = self.hear.lock().unwrap_or_else(PoisonError::into_inner).take();
        stream::unfold(hear, |hear| async move {
            let mut hear = hear?;
            let news = hear.recv().await?;
            Some((news, Some(hear)))
        })
    }
}
