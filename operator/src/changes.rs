//! News of one kind of object for the controller of another, from the stream that fills the store.

use futures::{Stream, stream};
use kube::{Resource, runtime::reflector::ObjectRef};
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

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
