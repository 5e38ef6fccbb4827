namespace :orders do
  desc "Marks the oldest open order as shipped"
  task ship: :environment do
    Order.open.order(:id).first&.update!(shipped_at: Time.current)
  end
end
